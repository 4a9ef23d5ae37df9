"""What a run warns of before it learns."""

from __future__ import annotations

import numpy as np
import pytest

from wave_jax.data.dataset import Dataset, Split
from wave_jax.runs.cautions import cautions, unbalanced
from wave_jax.training.config import TrainConfig


def dataset(counts, *, texts=None, test=200):
    names = tuple(counts)
    labels = np.repeat(np.arange(len(names), dtype=np.int32), list(counts.values()))
    learned = Split(texts or [f"text {i}" for i in range(len(labels))], labels)
    even = np.arange(test, dtype=np.int32) % len(names)
    other = Split([f"other {i}" for i in range(test)], even)
    return Dataset(names, learned, other, other, "texts")


def test_nothing_is_said_of_ordinary_texts():
    assert cautions(dataset({"good": 500, "bad": 400, "fair": 150}), TrainConfig()) == []


def test_labels_that_differ_by_case_or_white_space_alone_are_named():
    found = cautions(dataset({"great": 90, "GREAT": 60, "so  so": 70, "So so": 50}), TrainConfig())
    assert len(found) == 1
    assert found[0].startswith("Warning: classes are kept apart whose names differ by case")
    assert found[0].endswith("'great', 'GREAT'; 'so  so', 'So so'")


@pytest.mark.parametrize("name", ["NA", "?", "nan", "NULL", "-", "None", "n/a"])
def test_labels_that_look_like_missing_values_are_named(name):
    (found,) = cautions(dataset({"good": 90, "bad": 60, name: 50}), TrainConfig())
    assert f"'{name}' may mean that a label is missing" in found
    assert "--data.on-unlabelled skip" in found


def test_empty_texts_are_counted():
    texts = ["", " \n"] + [f"text {i}" for i in range(98)]
    (found,) = cautions(dataset({"good": 50, "bad": 50}, texts=texts), TrainConfig())
    assert "2 of 500 texts are empty" in found


def test_a_class_of_one_row_is_said_once():
    found = cautions(dataset({"good": 30, "bad": 30, "odd": 1}), TrainConfig())
    assert sum("one text to learn from for 'odd'" in line for line in found) == 1
    assert sum("'odd'" in line for line in found) == 2, "once more as the rarest class"


@pytest.mark.parametrize(
    ("counts", "said"),
    [
        ({"a": 631, "b": 13}, True),
        ({"a": 150, "b": 12}, True),
        ({"a": 100, "b": 10}, True),  # ten times as many
        ({"a": 99, "b": 10}, False),
        ({"a": 30} | {f"c{i}": 10 for i in range(50)}, False),
    ],
)
def test_unbalanced_classes(counts, said):
    line = unbalanced(dataset(counts), TrainConfig())
    assert (line is not None) == said
    if line:
        assert "--train.class-weights balanced and --train.select-by macro-f1" in line
        assert f"'a' has {counts['a'] / sum(counts.values()):.2%}" in line


def test_balance_that_is_seen_to_is_not_mentioned():
    data = dataset({"a": 631, "b": 13})
    line = unbalanced(data, TrainConfig(class_weights="balanced"))
    assert "give --train.select-by macro-f1 to" in line
    both = TrainConfig(class_weights="balanced", select_by="macro-f1")
    assert cautions(data, both) == []
