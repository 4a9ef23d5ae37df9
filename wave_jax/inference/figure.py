"""A confusion matrix as a picture."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np

_MOST_NUMBERS = 20  # classes up to which a cell has room for its count
_LONGEST_NAME = 24


def draw_confusion(
    confusion: np.ndarray, label_names: Sequence[str], path: Path, *, title: str
) -> None:
    """Writes a PNG: colour is the share of the true class, a cell's number its count.

    Args:
      confusion: int [classes, classes], row: true class, column: predicted class.
    """
    # A Figure of its own needs no display and leaves pyplot's global state alone.
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    classes = len(label_names)
    side = min(max(4.5, 0.55 * classes + 2.0), 24.0)
    figure = Figure(figsize=(side + 1.0, side), dpi=120, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    shares = confusion / np.maximum(confusion.sum(axis=1, keepdims=True), 1)
    image = axes.imshow(shares, cmap="cividis", vmin=0.0, vmax=1.0)
    names = [_plain(name) for name in label_names]
    axes.set_xticks(range(classes), names, rotation=45, ha="right", rotation_mode="anchor")
    axes.set_yticks(range(classes), names)
    axes.set_xlabel("predicted class")
    axes.set_ylabel("true class")
    axes.set_title(_plain(title, longest=80), fontsize=10)
    if classes <= _MOST_NUMBERS:
        for row, column in np.ndindex(classes, classes):
            shade = "black" if shares[row, column] > 0.5 else "white"
            count = str(confusion[row, column])
            axes.text(column, row, count, ha="center", va="center", color=shade, fontsize=8)
    figure.colorbar(image, label="share of the true class", shrink=0.8)
    with warnings.catch_warnings():
        # Names in scripts that the font lacks come out as boxes; the table has them in full.
        warnings.filterwarnings("ignore", message="Glyph .* missing from")
        figure.savefig(path)


def _plain(name: str, longest: int = _LONGEST_NAME) -> str:
    """Shortens a name and keeps it from being read as mathematics, or failing on control marks."""
    shown = "".join(mark if mark.isprintable() else " " for mark in name)
    shown = shown if len(shown) <= longest else shown[: longest - 1] + "…"
    return shown.replace("$", r"\$")
