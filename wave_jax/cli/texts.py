"""The texts of `predict` and `probe`: from options, lines of a stream, or rows of a table."""

from __future__ import annotations

import codecs
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from io import BufferedIOBase
from itertools import chain, islice
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro

from wave_jax.data.config import ColumnsConfig, DataConfig
from wave_jax.data.files import open_texts_with_ids
from wave_jax.data.formats import FORMATS
from wave_jax.data.streams import Errors, check_encoding, existing, plain_suffix, reading, user_path
from wave_jax.data.table import ColumnSpec
from wave_jax.errors import UserError, one_line

_BLOCK = 1 << 20  # bytes asked for at once; a pipe or terminal gives what it has
_CHUNK = 8192  # texts
_FORM = ("delimiter", "encoding")
_REPLACE = "--errors replace puts U+FFFD in its place"
_SIGNS = {  # of files that hold no lines of UTF-8, though 'replace' would make some
    rb"\x89PNG|\xff\xd8\xff|GIF8": "a picture",
    rb"PK\x03\x04": "a zip archive, as .xlsx and .docx files are",
    rb"\x1f\x8b|BZh\d1AY&SY|\xfd7zXZ|\x28\xb5\x2f\xfd": "compressed",
    rb"%PDF-": "a PDF",
    rb"\x80[\x02-\x05]": "a Python pickle",
    rb"([^\0]\0){4}": "UTF-16 text (--data.encoding utf-16-le)",
    rb"(\0[^\0]){4}": "UTF-16 text (--data.encoding utf-16-be)",
}


@dataclass(frozen=True)
class TextOptions:
    """Options of the commands that read texts without labels."""

    workdir: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="WORKDIR")]
    """Folder of a trained run."""
    text: tyro.conf.UseAppendAction[tuple[str, ...]] = ()
    """A text; may be given several times."""
    input: str | None = None
    """File with a text on each line; or a csv, tsv, jsonl or parquet file, with or without labels,
    a text in each row."""
    errors: Errors = "strict"
    """Bytes that are not UTF-8: 'strict' stops and names the line, 'replace' puts U+FFFD in."""
    data: ColumnsConfig = field(default_factory=ColumnsConfig)
    """Columns of such a file, and how it is written: as in training, unless given here."""
    checkpoint: Literal["best", "last"] = "best"
    """Parameters of the best validation, or the newest; after a refit, those of it."""

    def check(self, *columns: str) -> None:
        """Raises UserError where the options of columns, also these, have no table to apply to."""
        if replace(self.data, encoding=None) != ColumnsConfig():
            columns = ("--data.text-columns, --data.columns and --data.delimiter", *columns)
        if columns and not (self.input is not None and is_table(user_path(self.input))):
            tables = "a .csv, .tsv, .jsonl or .parquet file: other files are read line by line"
            raise UserError(f"{columns[0]} can only be given with --input FILE, {tables}")
        check_encoding(self.data.encoding)


def is_table(path: Path) -> bool:
    """Returns whether each row of a file is a text, by its suffix, and not each line."""
    return plain_suffix(path) in FORMATS and not path.is_dir()


@contextmanager
def open_input(options: TextOptions, trained_on: DataConfig) -> Iterator[Iterator[list[str]]]:
    """Opens `--input` and yields its texts in lists: the rows of a table, or lines."""
    with open_with_ids(options, trained_on) as chunks:
        yield ([text for text, _ in chunk] for chunk in chunks)


@contextmanager
def open_with_ids(
    options: TextOptions, trained_on: DataConfig, id_column: str | None = None
) -> Iterator[Iterator[list[tuple[str, Any]]]]:
    """Opens `--input` as `open_input`; with each text comes its value in a column, if any."""
    path = user_path(options.input or "")
    if is_table(path):
        text = options.data.text_columns or trained_on.text_columns
        names = options.data.columns or trained_on.columns
        form = {n: getattr(options.data, n) or getattr(trained_on, n) for n in _FORM}
        spec = ColumnSpec(text, trained_on.label_column, names, errors=options.errors)
        yield _rows(path, replace(spec, group=id_column, ignored=trained_on.group_column, **form))
        return
    if not path.exists():
        existing(path)  # raises, with a similar name
    with reading(str(path)):
        file = path.open("rb")
    with file:
        lines = read_lines(file, options.errors, str(path), options.data.encoding, nul=False)
        yield ([(text, None) for text in chunk] for chunk in lines)


def read_lines(
    stream: BufferedIOBase, errors: Errors, name: str, codec: str | None = None, nul: bool = True
) -> Iterator[list[str]]:
    """Yields the stream's lines in lists, in order and as soon as they come.

    A carriage return at the end is dropped. A byte order mark at the very start says what the
    encoding is, else `codec` does; None is UTF-8. UserError at a line that is not UTF-8, after the
    lines before it, unless `errors` is 'replace'; and in any case where the stream begins as a
    picture, an archive or the like, or with a block that has a NUL, unless `nul` allows it.
    """
    number, rest, blocks = 1, b"", iter(partial(stream.read1, _BLOCK), b"")
    first = next(blocks, b"")
    blocks = chain([first], blocks)
    marks = {b"\xef\xbb": None, b"\xff\xfe": "utf-16", b"\xfe\xff": "utf-16"}
    codec = marks.get(first[:2], codec)
    if codec is None:
        _check_text(first[:8192], name, nul)
    else:
        blocks = codecs.iterencode(codecs.iterdecode(blocks, codec, errors), "utf-8", "replace")
    try:
        for block in blocks:
            *lines, rest = (rest + block).split(b"\n")
            for start in range(0, len(lines), _CHUNK):
                chunk = lines[start : start + _CHUNK]
                yield from _decoded(chunk, number, errors, name)
                number += len(chunk)
    except UnicodeError as error:
        what = f"{name} is not {codec} after line {number - 1} ({one_line(error)})"
        raise UserError(f"{what}; {_REPLACE}") from error
    if rest:
        yield from _decoded([rest], number, errors, name)


def _check_text(start: bytes, name: str, nul: bool) -> None:
    """Raises UserError where a file that begins so holds no lines of UTF-8."""
    signs = (what for sign, what in _SIGNS.items() if re.match(sign, start, re.DOTALL))
    other = None if nul or 0 not in start else f"no text (byte {start.index(0) + 1} is NUL)"
    if found := next(signs, other):
        expected = "expected lines of UTF-8, or a .csv, .tsv, .jsonl or .parquet file"
        raise UserError(f"{name} is {found}: {expected}")


def _decoded(lines: list[bytes], first: int, errors: Errors, name: str) -> Iterator[list[str]]:
    texts: list[str] = []
    for number, line in enumerate(lines, first):
        line = line.removeprefix(codecs.BOM_UTF8) if number == 1 else line
        try:
            texts.append(line.removesuffix(b"\r").decode("utf-8", errors))
        except UnicodeDecodeError as error:
            if texts:
                yield texts
            bad = f"byte 0x{line[error.start]:02x} at position {error.start + 1}"
            raise UserError(f"line {number} of {name} is not UTF-8 ({bad}); {_REPLACE}") from error
    yield texts


def _rows(path: Path, columns: ColumnSpec) -> Iterator[list[tuple[str, Any]]]:
    try:
        description, rows = open_texts_with_ids(path, columns)
        if description and not columns.text:
            print(f"{path}: {description}", file=sys.stderr)
        while chunk := list(islice(rows, _CHUNK)):
            yield chunk
    except UserError as error:
        said = str(error).replace("--data.errors", "--errors")
        raise UserError(said.replace("--data.group-column", "--id-column")) from error
