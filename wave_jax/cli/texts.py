"""The texts of `predict` and `probe`: from options, lines of a stream, or rows of a table."""

from __future__ import annotations

import codecs
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

from wave_jax.data import streams
from wave_jax.data.config import ColumnsConfig, DataConfig
from wave_jax.data.files import open_texts_with_ids
from wave_jax.data.formats import FORMATS
from wave_jax.data.streams import Errors
from wave_jax.data.table import ColumnSpec
from wave_jax.errors import UserError, one_line

_BLOCK = 1 << 20  # bytes asked for at once; a pipe or terminal gives what it has
_CHUNK = 8192  # texts
_REPLACE = "--errors replace puts U+FFFD in its place"


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
        if columns and not (self.input is not None and is_table(streams.user_path(self.input))):
            tables = "a .csv, .tsv, .jsonl or .parquet file: other files are read line by line"
            raise UserError(f"{columns[0]} can only be given with --input FILE, {tables}")
        streams.check_encoding(self.data.encoding)


def is_table(path: Path) -> bool:
    """Returns whether each row of a file is a text, by its suffix, and not each line."""
    return streams.plain_suffix(path) in FORMATS and not path.is_dir()


@contextmanager
def open_with_ids(
    options: TextOptions, trained_on: DataConfig, id_column: str | None = None
) -> Iterator[Iterator[list[tuple[str, Any]]]]:
    """Opens `--input` and yields its texts in lists, each with its value in a column, if any."""
    path, own = streams.user_path(options.input or ""), options.data
    if not path.exists():
        streams.existing(path)  # raises, with a similar name
    file: Any
    with streams.reading(str(path)):
        file = streams.open_file(path) if is_table(path) else path.open("rb", streams.START)
    with file:
        encoding = own.encoding
        if encoding is None and (encoding := trained_on.encoding):
            with streams.reading(str(path)):
                start = file.peek(streams.START)
            encoding = None if streams.is_utf8(start, encoding) else encoding
        if not is_table(path):
            lines = read_lines(file, options.errors, str(path), encoding, nul=False)
            yield ([(text, None) for text in chunk] for chunk in lines)
            return
    text, names = own.text_columns or trained_on.text_columns, own.columns or trained_on.columns
    spec = ColumnSpec(text, trained_on.label_column, names, "ignore", options.errors)
    spec = replace(spec, delimiter=own.delimiter or trained_on.delimiter, encoding=encoding)
    yield _rows(path, replace(spec, group=id_column, ignored=trained_on.group_column))


def read_lines(
    stream: BufferedIOBase, errors: Errors, name: str, codec: str | None = None, nul: bool = True
) -> Iterator[list[str]]:
    """Yields the stream's lines in lists, in order and as soon as they come.

    A carriage return at the end is dropped. A byte order mark at the very start says what the
    encoding is, else `codec` does; None is UTF-8. UserError at a line that is not UTF-8, after the
    lines before it, unless `errors` is 'replace'; and in any case as `text_codec` does.
    """
    number, rest, blocks = 1, b"", iter(partial(stream.read1, _BLOCK), b"")
    first = next(blocks, b"")
    blocks, codec = chain([first], blocks), streams.text_codec(first, name, codec, nul)
    if not codec.startswith("utf-8"):
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
