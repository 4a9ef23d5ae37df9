"""The columns of a table, and its labels."""

import numpy as np
import pytest

from wave_jax.data.table import (
    ColumnSpec,
    Table,
    choose_columns,
    class_names,
    whole_numbers,
)
from wave_jax.errors import UserError


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
