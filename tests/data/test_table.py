"""Labels, texts and the messages about them; random splits."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wave_jax.data.columns import Columns, ColumnSpec
from wave_jax.data.table import (
    Row,
    Splits,
    Table,
    Where,
    class_name,
    class_names,
    clean_rows,
    encodable,
    whole_numbers,
)
from wave_jax.errors import UserError

WHERE = Where("mail.csv", 7, 9)
NAMES = ("train", "validation", "test")


def test_empty_columns_leave_no_space():
    rows = [Row(WHERE, ["title", " ", "", "body"], "x"), Row(WHERE, ["", ""], "y")]
    found = clean_rows(rows, ColumnSpec(), "strict")
    assert list(found) == [("title body", "x"), ("", "y")]


@pytest.mark.parametrize(
    ("value", "name"),
    [(3, "3"), (-1, "-1"), (2.0, "2"), (True, "true"), (False, "false"), (" pos\n", "pos")],
)
def test_labels_become_names(value, name):
    assert class_name(value, WHERE) == name


@pytest.mark.parametrize(
    "value", [None, float("nan"), float("inf"), 0.5, "", "  ", [1], {"a": 1}, b"x"]
)
def test_unusable_labels_name_the_row(value):
    with pytest.raises(UserError, match=r"mail\.csv, row 7 \(line 9\): the label"):
        class_name(value, WHERE)


def test_classes_are_sorted_by_value_if_numbers():
    assert class_names(["10", "2", "-1", "2"]) == ("-1", "2", "10")
    assert class_names(["10", "2", "x"]) == ("10", "2", "x")


def test_whole_numbers_written_with_a_point_lose_it():
    assert whole_numbers(["1.0", "2", "-3.00"]) == ["1", "2", "-3"]
    assert whole_numbers(["1.0", "v2"]) == ["1.0", "v2"]


def test_a_label_that_training_lacks_names_row_and_nearest():
    table = Table(["a", "b"], ["pos", "postive"], "test.csv", Columns())
    with pytest.raises(
        UserError, match=r"test\.csv, row 2.*'postive'.*'neg', 'pos', 'positive'.*mean"
    ):
        table.label_indices(("neg", "pos", "positive"))


def test_indices_are_int32():
    found = Table(["a", "b"], ["y", "x"], "f", Columns()).label_indices(("x", "y"))
    assert found.dtype == np.int32
    assert found.tolist() == [1, 0]


def test_bad_bytes_stop_or_are_replaced():
    text = b"caf\xe9".decode("utf-8", "surrogateescape")
    with pytest.raises(UserError, match=r"row 7 .*not valid UTF-8 \(byte 0xE9\).*errors replace"):
        encodable(text, "strict", WHERE)
    assert encodable(text, "replace", WHERE) == "caf\ufffd"
    with pytest.raises(UserError, match=r"surrogate U\+D800"):
        encodable("\ud800", "strict", WHERE)
    assert encodable("größe \N{PILE OF POO}", "strict", WHERE) == "größe \N{PILE OF POO}"


def source(count, test=None):
    texts = [f"text {i}" for i in range(count)]
    labels = ["a", "b"] * (count // 2) + ["a"] * (count % 2)
    tables = {"train": Table(texts, labels, "f.csv", Columns())}
    return Splits("f", "f", tables if test is None else tables | {"test": test})


@settings(deadline=None, database=None, max_examples=60)
@given(
    count=st.integers(3, 300),
    validation=st.floats(0.01, 0.99),
    test=st.floats(0.01, 0.99),
    seed=st.integers(0, 2**32),
)
def test_splits_are_disjoint_complete_in_order_and_repeatable(count, validation, test, seed):
    try:
        done = source(count).completed(
            validation_fraction=validation, test_fraction=test, seed=seed
        )
    except UserError:  # the test took all but one row
        assert count - min(max(round(test * count), 1), count - 1) < 2
        return
    found = [done.tables[name] for name in NAMES]
    numbers = [[int(text.split()[1]) for text in rows.texts] for rows in found]
    assert all(split == sorted(split) and split for split in numbers)
    assert sorted(itertools.chain(*numbers)) == list(range(count))
    again = source(count).completed(validation_fraction=validation, test_fraction=test, seed=seed)
    assert again == done


def test_sizes_and_labels_follow():
    done = source(1000).completed(validation_fraction=0.2, test_fraction=0.1, seed=3)
    assert [len(done.tables[name]) for name in NAMES] == [720, 180, 100]
    for rows in (done.tables[name] for name in NAMES):
        expected = ["ab"[int(text.split()[1]) % 2] for text in rows.texts]
        assert rows.labels == expected


def test_a_given_test_split_is_left_alone_and_the_seed_matters():
    given_test = Table(["t"], ["a"], "t.csv", Columns())
    one = source(100, given_test).completed(validation_fraction=0.2, test_fraction=0.5, seed=0)
    other = source(100, given_test).completed(validation_fraction=0.2, test_fraction=0.5, seed=1)
    assert one.tables["test"] is given_test
    assert len(one.tables["train"]) == 80
    assert one.tables["train"].texts != other.tables["train"].texts


def test_the_split_is_the_same_on_every_machine():
    """NumPy's stream for a seed; were it to change, texts would move between splits."""
    done = source(10).completed(validation_fraction=0.2, test_fraction=0.2, seed=0)
    order = np.random.default_rng((0, 1)).permutation(10)
    assert done.tables["test"].texts == [f"text {i}" for i in sorted(order[:2])]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"validation_fraction": 0.0}, r"--data\.validation-fraction is 0\.0"),
        ({"test_fraction": 1.0}, r"--data\.test-fraction is 1\.0"),
        ({"test_fraction": float("nan")}, r"--data\.test-fraction is nan"),
        ({"seed": -1}, r"--data\.split-seed is -1"),
    ],
)
def test_fractions_and_seed_are_checked(options, message):
    usual = {"validation_fraction": 0.2, "test_fraction": 0.2, "seed": 0}
    with pytest.raises(UserError, match=message):
        source(10).completed(**(usual | options))


def test_too_few_rows():
    with pytest.raises(UserError, match=r"f\.csv has too few rows"):
        source(2).completed(validation_fraction=0.2, test_fraction=0.2, seed=0)
