"""fastText's text format: `__label__CLASS` and the text, one example a line."""

from __future__ import annotations

from collections.abc import Iterator

from wave_jax.data.columns import ColumnSpec
from wave_jax.data.rows import Errors, Where
from wave_jax.data.streams import Input, bounded_lines
from wave_jax.data.table import Row, Table, make_row
from wave_jax.errors import UserError

LABEL = "__label__"


def open_fasttext(source: Input, wanted: ColumnSpec, errors: Errors) -> Table:
    """Opens lines that begin with one `__label__CLASS`; the rest of the line is the text."""

    def rows() -> Iterator[Row]:
        row = 0
        with source.lines(errors, newline="\n") as stream:
            for number, line in enumerate(bounded_lines(stream, source.name), 1):
                if not line.isspace():
                    row += 1
                    where = Where(source.name, row, number)
                    label, text = _split(line, where)
                    yield make_row([text], label, where, wanted, errors)

    return Table(source.name, "", rows())


def _split(line: str, where: Where) -> tuple[str, str]:
    head, _, text = line.strip(" \t\r\n").replace("\t", " ").partition(" ")
    if not head.startswith(LABEL):
        raise UserError(f"{where}: expected {LABEL}CLASS and then the text")
    if text.lstrip().startswith(LABEL):
        raise UserError(f"{where}: several labels; every text must have exactly one")
    return head[len(LABEL) :], text.strip()
