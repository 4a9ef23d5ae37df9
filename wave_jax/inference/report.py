"""How good predictions are: accuracy, precision, recall and F1, and the confusion matrix."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from wave_jax.errors import shorten

_MOST_NUMBERS = 20  # classes up to which a cell has room for its count


@dataclass(frozen=True)
class ClassScore:
    """Scores of one class; `examples` is how many truly belong to it, and 0/0 is 0."""

    label: str
    precision: float
    recall: float
    f1: float
    examples: int


@dataclass(frozen=True)
class Report:
    """Scores of a set of predictions.

    Attributes:
      confusion: int64 [classes, classes], row: true class, column: predicted class.
      loss: mean cross-entropy, in nats.
      per_class: in the order of the labels.
    """

    confusion: np.ndarray
    loss: float
    per_class: tuple[ClassScore, ...]

    @property
    def examples(self) -> int:
        return int(self.confusion.sum())

    @property
    def accuracy(self) -> float:
        return float(np.trace(self.confusion)) / self.examples

    @property
    def majority(self) -> float:
        """The share of the most frequent class: the accuracy of always predicting it."""
        return float(self.confusion.sum(axis=1).max()) / self.examples

    @property
    def macro_precision(self) -> float:
        return self._mean("precision")

    @property
    def macro_recall(self) -> float:
        return self._mean("recall")

    @property
    def macro_f1(self) -> float:
        return self._mean("f1")

    def as_json(self) -> dict[str, Any]:
        """Returns everything as plain values for `json.dumps`."""
        scores = [asdict(score) for score in self.per_class]
        return {
            "accuracy": self.accuracy,
            "examples": self.examples,
            "loss": self.loss,
            "majority": self.majority,
            "macro_precision": self.macro_precision,
            "macro_recall": self.macro_recall,
            "macro_f1": self.macro_f1,
            "per_class": {score.pop("label"): score for score in scores},
            "confusion": self.confusion.tolist(),
        }

    def _mean(self, name: str) -> float:
        """Over the classes that occur or are predicted, as in scikit-learn."""
        seen = (self.confusion.sum(axis=0) + self.confusion.sum(axis=1)) > 0
        values = np.array([getattr(score, name) for score in self.per_class])
        return float(np.mean(values[seen]))


def make_report(logits: np.ndarray, labels: np.ndarray, label_names: Sequence[str]) -> Report:
    """Scores `logits` [N, classes] against the true classes `labels` int [N].

    Raises:
      ValueError: there are no examples, or the shapes do not match.

    >>> report = make_report(np.eye(2), np.array([0, 0]), ("no", "yes"))
    >>> report.accuracy, report.confusion.tolist()
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
    scores = tuple(_score(name, k, confusion) for k, name in enumerate(label_names))
    return Report(confusion.astype(np.int64), _cross_entropy(logits, labels), scores)


def draw_confusion(
    confusion: np.ndarray, label_names: Sequence[str], path: Path, *, title: str
) -> None:
    """Writes a confusion matrix as a PNG: colours are shares of the true class, numbers counts.

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


def _cross_entropy(logits: np.ndarray, labels: np.ndarray) -> float:
    wide = logits.astype(np.float64)
    shifted = wide - wide.max(axis=1, keepdims=True)
    log_total = np.log(np.exp(shifted).sum(axis=1))
    return float(np.mean(log_total - shifted[np.arange(len(labels)), labels]))


def _score(label: str, k: int, confusion: np.ndarray) -> ClassScore:
    hits, true, predicted = confusion[k, k], confusion[k].sum(), confusion[:, k].sum()
    f1 = _ratio(2 * hits, true + predicted)
    return ClassScore(label, _ratio(hits, predicted), _ratio(hits, true), f1, int(true))


def _ratio(part: int, whole: int) -> float:
    return float(part) / float(whole) if whole else 0.0


def _printable(name: str, most: int) -> str:
    """Replaces control characters and shortens; a dollar sign would start a formula."""
    printable = "".join(char if char.isprintable() else " " for char in name)
    return shorten(printable, most).replace("$", r"\$")
