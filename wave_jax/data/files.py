"""One file of labelled texts, in whichever format it is."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from wave_jax.data.columns import ColumnSpec
from wave_jax.data.delimited import open_delimited
from wave_jax.data.fasttext import LABEL, open_fasttext
from wave_jax.data.jsonl import open_jsonl
from wave_jax.data.parquet import open_parquet
from wave_jax.data.rows import Errors, Rows
from wave_jax.data.streams import Input, existing, plain_suffix, reading
from wave_jax.data.table import Table
from wave_jax.errors import UserError

FORMATS = {
    **dict.fromkeys((".csv",), "csv"),
    **dict.fromkeys((".tsv", ".tab"), "tsv"),
    **dict.fromkeys((".jsonl", ".ndjson", ".json"), "jsonl"),
    **dict.fromkeys((".parquet", ".pq"), "parquet"),
}
_DELIMITERS = {"csv": ",", "tsv": "\t"}


def read_file(path: Path, wanted: ColumnSpec, errors: Errors, *, zhang: bool = False) -> Rows:
    """Reads `path`, whose format the suffix tells, or else the first bytes.

    Args:
      path: a csv, tsv, jsonl, json or parquet file, or fastText's text; gzip'd and the like too.
      wanted: the columns asked for.
      errors: what happens to bytes that are not UTF-8.
      zhang: a csv without a header line is in the layout of Zhang et al.

    Raises:
      UserError: the file cannot be read or used; the text names the row.
    """
    existing(path)
    kind = FORMATS.get(plain_suffix(path)) or _sniffed(Input.file(path))
    return _open(path, kind, wanted, errors, zhang).collect()


def open_texts(path: Path, wanted: ColumnSpec, errors: Errors, *, zhang: bool = False) -> Table:
    """Opens a file of texts, labelled or not, whose format the suffix tells (see `FORMATS`).

    The rows have no labels, whether the file has or not.

    Raises:
      UserError: as `read_file`; what cannot be read further on is raised when its row is reached.
    """
    unlabelled = replace(wanted, unlabelled="ignore")
    return _open(existing(path), FORMATS[plain_suffix(path)], unlabelled, errors, zhang)


def _open(path: Path, kind: str, wanted: ColumnSpec, errors: Errors, zhang: bool) -> Table:
    source = Input.file(path)
    if kind in _DELIMITERS:
        delimiter = _DELIMITERS[kind]
        return open_delimited(source, wanted, errors, delimiter=delimiter, zhang=zhang)
    if kind == "jsonl":
        return open_jsonl(source, wanted, errors)
    if kind == "parquet":
        return open_parquet(path, wanted, errors)
    return open_fasttext(source, wanted, errors)


def _sniffed(source: Input) -> str:
    with reading(source.name), source.open() as stream:
        start = stream.read(4096).removeprefix(b"\xef\xbb\xbf").lstrip()
    if start.startswith(LABEL.encode()):
        return "fasttext"
    if start.startswith(b"PAR1"):
        return "parquet"
    if start.startswith(b"{"):
        return "jsonl"
    raise UserError(
        f"{source.name}: unknown format; expected a .csv, .tsv, .jsonl or .parquet file (gzip'd or "
        f"not), text whose lines begin with {LABEL}, or a folder with train.csv and test.csv"
    )
