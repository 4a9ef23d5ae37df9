"""How well predictions fit: accuracy, and precision, recall and F1 of every class."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True)
class ClassScore:
    """One class: `examples` counts its true members; a ratio of nothing is 0."""

    label: str
    precision: float
    recall: float
    f1: float
    examples: int


@dataclass(frozen=True)
class Report:
    """Scores of one set of predictions.

    Attributes:
      confusion: int64 [classes, classes], row: true class, column: predicted class.
      loss: mean cross-entropy, in nats.
      per_class: the scores of each class, in the order of the labels.
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
        """The share of the most frequent class: the accuracy of always answering it."""
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
        return {
            "accuracy": self.accuracy,
            "examples": self.examples,
            "loss": self.loss,
            "majority": self.majority,
            "macro_precision": self.macro_precision,
            "macro_recall": self.macro_recall,
            "macro_f1": self.macro_f1,
            "per_class": {score.label: _without_label(score) for score in self.per_class},
            "confusion": self.confusion.tolist(),
        }

    def _mean(self, name: str) -> float:
        """The mean over classes that are anyone's true or predicted class, as scikit-learn's."""
        seen = (self.confusion.sum(axis=0) + self.confusion.sum(axis=1)) > 0
        values = [getattr(score, name) for score in self.per_class]
        return float(np.mean(np.asarray(values)[seen]))


def make_report(logits: np.ndarray, labels: np.ndarray, label_names: Sequence[str]) -> Report:
    """Scores `logits` [N, classes] against the true classes `labels` int [N].

    Raises:
      ValueError: there is no example, or the shapes do not fit.

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
    predicted = logits.argmax(axis=1)
    confusion = np.bincount(labels * classes + predicted, minlength=classes**2)
    confusion = confusion.reshape(classes, classes).astype(np.int64)
    scores = tuple(_score(name, k, confusion) for k, name in enumerate(label_names))
    return Report(confusion, _cross_entropy(logits, labels), scores)


def _cross_entropy(logits: np.ndarray, labels: np.ndarray) -> float:
    wide = logits.astype(np.float64)
    shifted = wide - wide.max(axis=1, keepdims=True)
    log_total = np.log(np.exp(shifted).sum(axis=1))
    return float(np.mean(log_total - shifted[np.arange(len(labels)), labels]))


def _score(label: str, k: int, confusion: np.ndarray) -> ClassScore:
    hits, true, predicted = confusion[k, k], confusion[k].sum(), confusion[:, k].sum()
    return ClassScore(
        label,
        precision=_ratio(hits, predicted),
        recall=_ratio(hits, true),
        f1=_ratio(2 * hits, true + predicted),
        examples=int(true),
    )


def _ratio(part: int, whole: int) -> float:
    return float(part) / float(whole) if whole else 0.0


def _without_label(score: ClassScore) -> dict[str, float]:
    return {
        "precision": score.precision,
        "recall": score.recall,
        "f1": score.f1,
        "examples": score.examples,
    }
