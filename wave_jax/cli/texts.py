"""The texts of `predict` and `probe`: from options, lines of a stream, or rows of a table."""

from __future__ import annotations

import codecs
import itertools
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from io import BufferedIOBase
from pathlib import Path
from typing import Annotated, Literal

import tyro

from wave_jax.data.config import ColumnsConfig, DataConfig
from wave_jax.data.files import open_texts
from wave_jax.data.formats import FORMATS
from wave_jax.data.streams import Errors, existing, plain_suffix, reading, user_path
from wave_jax.data.table import ColumnSpec
from wave_jax.errors import UserError

_BLOCK = 1 << 20  # bytes asked for at once; a pipe or terminal gives what it has
_CHUNK = 8192  # texts


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
    """Parameters of the best validation accuracy, or the newest; after a refit, those of it."""

    def check(self) -> None:
        """Raises UserError where the column options have no table to apply to."""
        table = self.input is not None and is_table(user_path(self.input))
        if self.data != ColumnsConfig() and not table:
            tables = "a .csv, .tsv, .jsonl or .parquet file: other files are read line by line"
            named = "--data.text-columns, --data.columns, --data.delimiter and --data.encoding"
            raise UserError(f"{named} need --input FILE with {tables}")


def is_table(path: Path) -> bool:
    """Returns whether each row of a file is a text, by its suffix, and not each line."""
    return plain_suffix(path) in FORMATS and not path.is_dir()


@contextmanager
def open_input(options: TextOptions, trained_on: DataConfig) -> Iterator[Iterator[list[str]]]:
    """Opens `--input` and yields its texts in lists: the rows of a table, or lines."""
    path = user_path(options.input or "")
    if is_table(path):
        read = {name: v or getattr(trained_on, name) for name, v in vars(options.data).items()}
        text, names = read.pop("text_columns"), read.pop("columns")
        spec = ColumnSpec(text, trained_on.label_column, names, errors=options.errors)
        yield _rows(path, replace(spec, **read))
        return
    if not path.exists():
        existing(path)  # raises, with a similar name
    with reading(str(path)):
        file = path.open("rb")
    with file:
        yield read_lines(file, options.errors, str(path))


def read_lines(stream: BufferedIOBase, errors: Errors, name: str) -> Iterator[list[str]]:
    """Yields the stream's lines in lists, in order and as soon as they come.

    A carriage return at the end and a byte order mark at the very start are dropped. UserError at
    a line that is not UTF-8, after the lines before it, unless `errors` is 'replace'.
    """
    number, rest = 1, b""
    while block := stream.read1(_BLOCK):
        *lines, rest = (rest + block).split(b"\n")
        for start in range(0, len(lines), _CHUNK):
            chunk = lines[start : start + _CHUNK]
            yield from _decoded(chunk, number, errors, name)
            number += len(chunk)
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
            advice = "--errors replace puts U+FFFD in its place"
            raise UserError(f"line {number} of {name} is not UTF-8 ({bad}); {advice}") from error
    yield texts


def _rows(path: Path, columns: ColumnSpec) -> Iterator[list[str]]:
    try:
        description, texts = open_texts(path, columns)
        if description and not columns.text:
            print(f"{path}: {description}", file=sys.stderr)
        while chunk := list(itertools.islice(texts, _CHUNK)):
            yield chunk
    except UserError as error:
        raise UserError(str(error).replace("--data.errors", "--errors")) from error
