"""The choice of columns."""

import pytest

from wave_jax.data.columns import ColumnSpec, choose_columns
from wave_jax.errors import UserError


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["text", "label"], ((0,), 1)),
        (["Class Index", "Title", "Description"], ((1, 2), 0)),
        (["idx", "sentence", "label"], ((1,), 2)),
        (["label", "title", "content"], ((1, 2), 0)),
        (["id", "text", "sentiment"], ((1,), 2)),
    ],
)
def test_usual_names_are_found(names, expected):
    chosen = choose_columns(names, ColumnSpec(), "f.csv", header=True)
    assert (chosen.text, chosen.label) == expected


def test_named_columns_come_in_the_order_asked_for():
    wanted = ColumnSpec(text=("b", "a"), label="c")
    chosen = choose_columns(["a", "b", "c"], wanted, "f.csv", header=True)
    assert (chosen.text, chosen.label) == ((1, 0), 2)
    assert str(chosen) == "text from b + a, label from c"


def test_a_missing_column_shows_those_there_and_the_nearest():
    with pytest.raises(
        UserError, match=r"f\.csv has no column 'txt', did you mean 'text'.*'label'"
    ):
        choose_columns(["text", "label"], ColumnSpec(text=("txt",)), "f.csv", header=False)
    with pytest.raises(UserError, match=r"no column for the label.*'lable'.*--data.label-column"):
        choose_columns(["text", "lable"], ColumnSpec(), "f.csv", header=False)
    with pytest.raises(UserError, match=r"no column for the text.*--data.text-columns"):
        choose_columns(["image", "label"], ColumnSpec(), "f.csv", header=False)


def test_a_line_that_may_be_data_says_what_a_headerless_file_takes():
    with pytest.raises(UserError, match=r"'pos', 'A good film'.*no header line.*--data.columns"):
        choose_columns(["pos", "A good film"], ColumnSpec(), "f.csv", header=True)


def test_two_columns_of_one_name_are_refused():
    with pytest.raises(UserError, match="2 columns named 'a'"):
        choose_columns(["a", "a", "label"], ColumnSpec(text=("a",)), "f.csv", header=True)
