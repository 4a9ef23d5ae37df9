"""Speed, each figure a ratio of contestants that take turns in one run."""
