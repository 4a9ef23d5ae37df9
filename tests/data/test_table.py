"""The columns of a table, its labels, and random splits."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wave_jax.data.config import DataConfig
from wave_jax.data.dataset import complete_splits
from wave_jax.data.table import (
    ColumnSpec,
    Table,
    choose_columns,
    class_names,
    whole_numbers,
)
from wave_jax.errors import UserError

NAMES = ("train", "validation", "test")


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["text", "label"], (("text",), "label")),
        (["Class Index", "Title", "Description"], (("Title", "Description"), "Class Index")),
        (["idx", "sentence", "label"], (("sentence",), "label")),
        (["label", "title", "content"], (("title", "content"), "label")),
        (["id", "text", "sentiment"], (("text",), "sentiment")),
    ],
)
def test_usual_names_are_found(names, expected):
    chosen = choose_columns(names, ColumnSpec(), "f.csv")
    assert (chosen.text, chosen.label) == expected


def test_named_columns_come_in_the_order_asked_for():
    wanted = ColumnSpec(text=("b", "a"), label="c")
    chosen = choose_columns(["a", "b", "c"], wanted, "f.csv")
    assert (chosen.text, chosen.label) == (("b", "a"), "c")
    assert str(chosen) == "text from b + a, label from c"


def test_a_missing_column_shows_those_there_and_the_nearest():
    with pytest.raises(
        UserError, match=r"f\.csv has no column 'txt', did you mean 'text'.*'label'"
    ):
        choose_columns(["text", "label"], ColumnSpec(text=("txt",)), "f.csv")
    with pytest.raises(UserError, match=r"no column for the label.*'lable'.*--data.label-column"):
        choose_columns(["text", "lable"], ColumnSpec(), "f.csv")
    with pytest.raises(UserError, match=r"no column for the text.*--data.text-columns"):
        choose_columns(["image", "label"], ColumnSpec(), "f.csv")


def test_two_columns_of_one_name_are_refused():
    with pytest.raises(UserError, match="2 columns named 'a'"):
        choose_columns(["a", "a", "label"], ColumnSpec(text=("a",)), "f.csv")


def test_classes_are_sorted_by_value_if_numbers():
    assert class_names(["10", "2", "-1", "2"]) == ("-1", "2", "10")
    assert class_names(["10", "2", "x"]) == ("10", "2", "x")


def test_whole_numbers_written_with_a_point_lose_it():
    assert whole_numbers(["1.0", "2", "-3.00"]) == ["1", "2", "-3"]
    assert whole_numbers(["1.0", "v2"]) == ["1.0", "v2"]


def test_a_label_that_training_lacks_names_row_and_nearest():
    table = Table(["a", "b"], ["pos", "postive"], "test.csv")
    with pytest.raises(
        UserError, match=r"test\.csv, row 2.*'postive'.*'neg', 'pos', 'positive'.*mean"
    ):
        table.label_indices(("neg", "pos", "positive"))


def test_indices_are_int32():
    found = Table(["a", "b"], ["y", "x"], "f").label_indices(("x", "y"))
    assert found.dtype == np.int32
    assert found.tolist() == [1, 0]


def completed(given, validation=0.2, test=0.2, seed=0):
    config = DataConfig(validation_fraction=validation, test_fraction=test, split_seed=seed)
    return complete_splits(given, config)


def tables(count, test=None):
    texts = [f"text {i}" for i in range(count)]
    labels = ["a", "b"] * (count // 2) + ["a"] * (count % 2)
    given = {"train": Table(texts, labels, "f.csv")}
    return given if test is None else given | {"test": test}


@settings(deadline=None, database=None, max_examples=60)
@given(
    count=st.integers(3, 300),
    validation=st.floats(0.01, 0.99),
    test=st.floats(0.01, 0.99),
    seed=st.integers(0, 2**32),
)
def test_splits_are_disjoint_complete_in_order_and_repeatable(count, validation, test, seed):
    try:
        done = completed(tables(count), validation, test, seed)
    except UserError:  # the test took all but one row
        assert count - min(max(round(test * count), 1), count - 1) < 2
        return
    found = [done[name] for name in NAMES]
    numbers = [[int(text.split()[1]) for text in rows.texts] for rows in found]
    assert all(split == sorted(split) and split for split in numbers)
    assert sorted(itertools.chain(*numbers)) == list(range(count))
    again = completed(tables(count), validation, test, seed)
    assert again == done


def test_sizes_and_labels_follow():
    done = completed(tables(1000), 0.2, 0.1, 3)
    assert [len(done[name]) for name in NAMES] == [720, 180, 100]
    for rows in (done[name] for name in NAMES):
        expected = ["ab"[int(text.split()[1]) % 2] for text in rows.texts]
        assert rows.labels == expected


def test_a_given_test_split_is_left_alone_and_the_seed_matters():
    given_test = Table(["t"], ["a"], "t.csv")
    one = completed(tables(100, given_test), 0.2, 0.5, 0)
    other = completed(tables(100, given_test), 0.2, 0.5, 1)
    assert one["test"] is given_test
    assert len(one["train"]) == 80
    assert one["train"].texts != other["train"].texts


def test_the_split_is_the_same_on_every_machine():
    """NumPy's stream for a seed; were it to change, texts would move between splits."""
    done = completed(tables(10), 0.2, 0.2, 0)
    order = np.random.default_rng((0, 1)).permutation(10)
    assert done["test"].texts == [f"text {i}" for i in sorted(order[:2])]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"validation": 0.0}, r"--data\.validation-fraction is 0\.0"),
        ({"test": 1.0}, r"--data\.test-fraction is 1\.0"),
        ({"test": float("nan")}, r"--data\.test-fraction is nan"),
        ({"seed": -1}, r"--data\.split-seed is -1"),
    ],
)
def test_fractions_and_seed_are_checked(options, message):
    with pytest.raises(UserError, match=message):
        completed(tables(10), **options)


def test_too_few_rows():
    with pytest.raises(UserError, match=r"f\.csv has too few rows"):
        completed(tables(2), 0.2, 0.2, 0)
