"""What the papers report: accuracy in percent, video memory in GB, seconds per epoch."""

from __future__ import annotations

TABLE_1 = {
    "interference": (90.36, 0.30, 146.90),
    "modulation": (91.29, 0.32, 147.02),
    "transformer": (71.68, 0.85, 173.25),
}
"""[WN] table 1, AG News."""

TABLE_2 = {
    "AG News": {
        "interference": (90.91, 0.30, 146.90),
        "modulation": (91.66, 0.32, 147.02),
        "bert": (94.64, 1.28, 1034.99),
    },
    "DBpedia14": {
        "interference": (97.93, 0.30, 979.78),
        "modulation": (98.05, 0.30, 991.15),
        "bert": (99.28, 1.27, 2734.76),
    },
    "IMDB": {
        "interference": (87.00, 0.37, 119.57),
        "modulation": (87.02, 0.37, 119.96),
        "bert": (93.94, 1.27, 220.46),
    },
}
"""[WN] table 2."""

HEADLINE = "77.34 % less memory and 85.62 % less time than BERT base (modulation, AG News)"
"""[WN], abstract."""
