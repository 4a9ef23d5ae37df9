"""One file of labelled texts, in whichever format it is."""

from __future__ import annotations

from pathlib import Path

from wave_jax.data.columns import Wanted
from wave_jax.data.delimited import read_delimited
from wave_jax.data.fasttext import LABEL, read_fasttext
from wave_jax.data.inputs import Input, existing, plain_suffix, reading
from wave_jax.data.jsonl import read_jsonl
from wave_jax.data.parquet import read_parquet
from wave_jax.data.rows import Errors, Rows
from wave_jax.errors import UserError

FORMATS = {
    **dict.fromkeys((".csv",), "csv"),
    **dict.fromkeys((".tsv", ".tab"), "tsv"),
    **dict.fromkeys((".jsonl", ".ndjson", ".json"), "jsonl"),
    **dict.fromkeys((".parquet", ".pq"), "parquet"),
}


def read_file(path: Path, wanted: Wanted, errors: Errors, *, zhang: bool = False) -> Rows:
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
    source = Input.file(path)
    kind = FORMATS.get(plain_suffix(path)) or _sniffed(source)
    if kind == "csv":
        return read_delimited(source, wanted, errors, delimiter=",", zhang=zhang)
    if kind == "tsv":
        return read_delimited(source, wanted, errors, delimiter="\t", zhang=zhang)
    if kind == "jsonl":
        return read_jsonl(source, wanted, errors)
    if kind == "parquet":
        return read_parquet(path, wanted, errors)
    return read_fasttext(source, errors)


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
