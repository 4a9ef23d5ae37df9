"""Trained networks at work: labels for texts, and how good they are."""
