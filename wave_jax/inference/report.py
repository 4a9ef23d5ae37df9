"""How good predictions are: accuracy, precision, recall and F1, and the confusion matrix."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from wave_jax.errors import shorten
from wave_jax.training.evaluation import score

_MOST_NUMBERS = 20  # classes up to which a cell has room for its count


def make_report(
    logits: np.ndarray, labels: np.ndarray, label_names: Sequence[str]
) -> dict[str, Any]:
    """Scores `logits` [N, classes] against the true classes `labels` int [N].

    Returns:
      Plain values for `json.dumps`: `accuracy`, `examples`, `loss` (mean cross-entropy in nats),
      `majority` (the share of the most frequent class, which always predicting it would give),
      `macro_precision`, `macro_recall`, `macro_f1` (over the classes that occur or are predicted,
      as in scikit-learn), `per_class` (a dict of scores by label; 0/0 is 0), and `confusion` (rows:
      true classes, columns: predicted ones).

    Raises:
      ValueError: there are no examples, or the shapes do not match.

    >>> report = make_report(np.eye(2), np.array([0, 0]), ("no", "yes"))
    >>> report["accuracy"], report["confusion"]
    (0.5, [[1, 1], [0, 0]])
    """
    classes = len(label_names)
    if logits.shape != (len(labels), classes) or len(labels) == 0:
        raise ValueError(
            f"expected logits [N, {classes}] and labels [N] with N > 0; "
            f"got {logits.shape} and {labels.shape}"
        )
    pairs = labels * classes + logits.argmax(axis=1)
    confusion = np.bincount(pairs, minlength=classes**2).reshape(classes, classes)
    hits, true, predicted = np.diag(confusion), confusion.sum(axis=1), confusion.sum(axis=0)
    scores = {
        "precision": hits / np.maximum(predicted, 1),
        "recall": hits / np.maximum(true, 1),
        "f1": 2 * hits / np.maximum(true + predicted, 1),
    }
    seen, whole = true + predicted > 0, score(logits, labels)
    rows = zip(*(each.tolist() for each in scores.values()), true.tolist(), strict=True)
    return {
        "accuracy": whole.accuracy,
        "examples": len(labels),
        "loss": whole.loss,
        "majority": float(true.max() / len(labels)),
        **{f"macro_{name}": float(np.mean(values[seen])) for name, values in scores.items()},
        "per_class": {
            label: dict(zip([*scores, "examples"], row, strict=True))
            for label, row in zip(label_names, rows, strict=True)
        },
        "confusion": confusion.tolist(),
    }


def draw_confusion(
    confusion: np.ndarray, label_names: Sequence[str], path: Path, *, title: str
) -> None:
    """Writes a confusion matrix [true, predicted] as a PNG: colours are shares of the true class.

    Up to 20 classes the counts are written into the cells.
    """
    from matplotlib.figure import Figure  # without pyplot: no display, no global state

    classes = len(label_names)
    side = min(max(4.5, 0.55 * classes + 2.0), 24.0)
    figure = Figure(figsize=(side + 1.0, side), dpi=120, layout="constrained")
    axes = figure.add_subplot()
    shares = confusion / np.maximum(confusion.sum(axis=1, keepdims=True), 1)
    image = axes.imshow(shares, cmap="cividis", vmin=0.0, vmax=1.0)
    names = [_printable(name, 24) for name in label_names]
    axes.set_xticks(range(classes), names, rotation=45, ha="right", rotation_mode="anchor")
    axes.set_yticks(range(classes), names)
    axes.set_xlabel("predicted class")
    axes.set_ylabel("true class")
    axes.set_title(_printable(title, 80), fontsize=10)
    if classes <= _MOST_NUMBERS:
        for row, column in np.ndindex(classes, classes):
            shade = "black" if shares[row, column] > 0.5 else "white"
            count = str(confusion[row, column])
            axes.text(column, row, count, ha="center", va="center", color=shade, fontsize=8)
    figure.colorbar(image, label="share of the true class", shrink=0.8)
    with warnings.catch_warnings():
        # Characters that the font lacks are drawn as boxes; the table has the full names.
        warnings.filterwarnings("ignore", message="Glyph .* missing from")
        figure.savefig(path)


def _printable(name: str, most: int) -> str:
    """Replaces control characters and shortens; a dollar sign would start a formula."""
    printable = "".join(char if char.isprintable() else " " for char in name)
    return shorten(printable, most).replace("$", r"\$")
