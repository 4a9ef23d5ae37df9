"""Labels, texts and the messages about them."""

import numpy as np
import pytest

from wave_jax.data.rows import (
    Rows,
    Where,
    class_names,
    encodable,
    join_pieces,
    label_indices,
    label_text,
    whole_numbers,
)
from wave_jax.errors import UserError

WHERE = Where("mail.csv", 7, 9)


def test_empty_pieces_leave_no_space():
    assert join_pieces(["title", " ", "", "body"]) == "title body"
    assert join_pieces(["", ""]) == ""


@pytest.mark.parametrize(
    ("value", "name"),
    [(3, "3"), (-1, "-1"), (2.0, "2"), (True, "true"), (False, "false"), (" pos\n", "pos")],
)
def test_labels_become_names(value, name):
    assert label_text(value, WHERE) == name


@pytest.mark.parametrize(
    "value", [None, float("nan"), float("inf"), 0.5, "", "  ", [1], {"a": 1}, b"x"]
)
def test_unusable_labels_name_the_row(value):
    with pytest.raises(UserError, match=r"mail\.csv, row 7 \(line 9\): the label"):
        label_text(value, WHERE)


def test_classes_are_sorted_by_value_if_numbers():
    assert class_names(["10", "2", "-1", "2"]) == ("-1", "2", "10")
    assert class_names(["10", "2", "x"]) == ("10", "2", "x")


def test_whole_numbers_written_with_a_point_lose_it():
    assert whole_numbers(["1.0", "2", "-3.00"]) == ["1", "2", "-3"]
    assert whole_numbers(["1.0", "v2"]) == ["1.0", "v2"]


def test_a_label_that_training_lacks_names_row_and_nearest():
    rows = Rows(["a", "b"], ["pos", "postive"], "test.csv")
    with pytest.raises(
        UserError, match=r"test\.csv, row 2.*'postive'.*'neg', 'pos', 'positive'.*mean"
    ):
        label_indices(rows, ("neg", "pos", "positive"))


def test_indices_are_int32():
    found = label_indices(Rows(["a", "b"], ["y", "x"], "f"), ("x", "y"))
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
