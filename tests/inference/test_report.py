"""Scores against scikit-learn, and the pictures' edge cases."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from wave_jax.inference.report import draw_confusion, make_report

metrics = pytest.importorskip("sklearn.metrics")


@pytest.mark.parametrize("classes_seen", [5, 3], ids=["all classes", "some without example"])
def test_scores_equal_scikit_learn(classes_seen: int) -> None:
    rng = np.random.default_rng(classes_seen)
    logits = rng.normal(size=(200, 5)).astype(np.float32)
    logits[:, classes_seen:] -= 9  # the others are never predicted either
    labels = rng.integers(0, classes_seen, size=200).astype(np.int32)
    report = make_report(logits, labels, "abcde")
    predicted = logits.argmax(axis=1)

    np.testing.assert_array_equal(
        report["confusion"], metrics.confusion_matrix(labels, predicted, labels=range(5))
    )
    expected = metrics.precision_recall_fscore_support(
        labels, predicted, average="macro", zero_division=0
    )
    ours = (report["macro_precision"], report["macro_recall"], report["macro_f1"])
    np.testing.assert_allclose(ours, expected[:3], rtol=1e-12)  # the same few divisions
    assert report["accuracy"] == metrics.accuracy_score(labels, predicted)
    shares = np.exp(logits.astype(np.float64))
    shares /= shares.sum(axis=1, keepdims=True)
    expected_loss = metrics.log_loss(labels, shares, labels=range(5))
    np.testing.assert_allclose(report["loss"], expected_loss, rtol=1e-6)  # float32 logits
    assert report["majority"] == np.bincount(labels).max() / 200


def test_json_is_plain_and_finite() -> None:
    report = make_report(np.array([[1e30, -1e30], [0, 1]]), np.array([0, 1]), ("no", "yes"))
    row = json.loads(json.dumps(report, allow_nan=False))
    assert row["accuracy"] == 1.0
    assert row["examples"] == 2
    assert row["per_class"]["yes"] == {"precision": 1, "recall": 1, "f1": 1, "examples": 1}


def test_no_example_is_refused() -> None:
    with pytest.raises(ValueError, match="N > 0"):
        make_report(np.zeros((0, 2)), np.zeros(0, np.int32), ("a", "b"))


@pytest.mark.parametrize("classes", [1, 2, 30])
def test_a_picture_of_any_names(tmp_path: Path, classes: int) -> None:
    names = ["$x_1$", "水" * 40, "tab\tand\nline", *map(str, range(classes))][:classes]
    path = tmp_path / "confusion.png"
    draw_confusion(np.eye(classes, dtype=np.int64) * 7, names, path, title="50 % of $ money_")
    assert path.read_bytes().startswith(b"\x89PNG")
