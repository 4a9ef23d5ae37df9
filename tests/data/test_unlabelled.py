"""Files some or all of whose rows have no label."""

import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from wave_jax.data.columns import ColumnSpec
from wave_jax.data.files import open_texts, read_file
from wave_jax.errors import UserError


def _write_unlabelled(path):
    """Writes rows of which the second and the third have no label."""
    if path.suffix == ".parquet":
        names = {"info": {"features": {"label": {"_type": "ClassLabel", "names": ["neg", "pos"]}}}}
        table = pa.table({"text": list("abcd"), "label": pa.array([1, -1, None, 0], pa.int64())})
        pq.write_table(table.replace_schema_metadata({"huggingface": json.dumps(names)}), path)
    elif path.suffix == ".jsonl":
        rows = [{"text": "a", "label": "pos"}, {"text": "b"}, {"text": "c", "label": None}]
        rows.append({"text": "d", "label": "neg"})
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    elif path.suffix == ".txt":
        path.write_text("__label__pos a\n__label__ b\n__label__ c\n__label__neg d\n")
    else:
        path.write_text("text,label\na,pos\nb,\nc,  \nd,neg\n")
    return path


@pytest.mark.parametrize("name", ["f.csv", "f.jsonl", "f.parquet", "f.txt"])
def test_rows_without_a_label(tmp_path, name):
    path = _write_unlabelled(tmp_path / name)
    with pytest.raises(UserError, match="row 2"):
        read_file(path, ColumnSpec(), "strict")
    rows = read_file(path, ColumnSpec(unlabelled="skip"), "strict")
    assert (rows.texts, rows.labels, rows.skipped) == (["a", "d"], ["pos", "neg"], 2)
    if name != "f.txt":  # its suffix does not tell that it is a table
        assert [row.text for row in open_texts(path, ColumnSpec(), "strict").rows] == list("abcd")


def test_only_rows_without_a_label(tmp_path):
    path = tmp_path / "f.csv"
    path.write_text("text,label\na,\nb,\n")
    with pytest.raises(UserError, match="no rows to learn from; 2 rows have no label"):
        read_file(path, ColumnSpec(unlabelled="skip"), "strict")


def test_texts_are_read_one_after_the_other(tmp_path):
    """A fault far down is met when its row is reached, and not before."""
    path = tmp_path / "f.csv"
    path.write_text("text\n" + "fine\n" * 200_000 + "too,many\n")
    table = open_texts(path, ColumnSpec(), "strict")
    assert [next(table.rows).text for _ in range(3)] == ["fine"] * 3
    with pytest.raises(UserError, match="row 200001"):
        list(table.rows)


def test_the_label_is_no_text(tmp_path):
    path = tmp_path / "f.csv"
    path.write_text("review,content\na,b\n")
    (row,) = open_texts(path, ColumnSpec(label="content"), "strict").rows
    assert row.text == "a"
