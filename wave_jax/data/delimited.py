"""Comma- and tab-separated files, with a header line or without."""

from __future__ import annotations

import csv
import io
import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

from wave_jax.data.columns import Chosen, ColumnSpec, choose_columns
from wave_jax.data.rows import Errors, Where
from wave_jax.data.streams import LONGEST_LINE, Input, bounded_lines, reading
from wave_jax.data.table import Row, Table, make_row
from wave_jax.errors import UserError

_LARGEST_FIELD = LONGEST_LINE  # the csv module's own limit of 128 KiB would refuse long texts


class Record(NamedTuple):
    """The fields of a row and the line where it starts: a quoted field may span several lines."""

    line: int
    fields: list[str]


def open_delimited(
    source: Input, wanted: ColumnSpec, errors: Errors, *, delimiter: str, zhang: bool = False
) -> Table:
    """Opens a csv or tsv file.

    With `zhang`, a file whose first line is no header is read in the layout of Zhang et al.
    (2015): the class, counted from 1, then the columns of text; labels stay numbers here.

    A tsv file is often written without any quoting; where its quotes do not pair up, or pair up
    across lines that are rows by themselves, they are read as part of the text.
    """
    if delimiter != "\t" or not _has_quotes(source):
        return _open(source, wanted, errors, delimiter, csv.QUOTE_MINIMAL, zhang)
    quoted, plain = (
        _count(source, wanted, errors, delimiter, quoting, zhang)
        for quoting in (csv.QUOTE_MINIMAL, csv.QUOTE_NONE)
    )
    as_quoted = quoted is not None and plain in (None, quoted)
    quoting = csv.QUOTE_MINIMAL if as_quoted else csv.QUOTE_NONE
    return _open(source, wanted, errors, delimiter, quoting, zhang)


def read_records(
    source: Input, errors: Errors, *, delimiter: str, quoting: int = csv.QUOTE_MINIMAL
) -> Iterator[Record]:
    """Yields the rows of a file that are not blank, its header line among them if it has one."""
    with source.lines(errors, newline="") as stream, _long_fields():
        yield from _records(stream, source.name, delimiter, quoting)


def _open(
    source: Input, wanted: ColumnSpec, errors: Errors, delimiter: str, quoting: int, zhang: bool
) -> Table:
    records = read_records(source, errors, delimiter=delimiter, quoting=quoting)
    first = next(records, None)
    if first is None:
        raise UserError(f"{source.name} is empty; it should hold texts")
    names, is_header, chosen = _columns(first.fields, wanted, source.name, zhang)
    if is_header:
        first = next(records, None)
        if first is None:
            raise UserError(f"{source.name} holds a header line and no rows")

    def rows() -> Iterator[Row]:
        for number, record in enumerate(itertools.chain((first,), records), 1):
            where = Where(source.name, number, record.line)
            yield _row(record.fields, len(names), chosen, where, wanted, errors)

    columns = chosen.described(names if wanted.names or is_header else _numbered(names))
    return Table(source.name, columns, rows(), zhang=not is_header, written_numbers=True)


def _count(
    source: Input, wanted: ColumnSpec, errors: Errors, delimiter: str, quoting: int, zhang: bool
) -> int | None:
    """Returns the number of rows that are found with this quoting; None where it does not do."""
    try:
        return sum(1 for _ in _open(source, wanted, errors, delimiter, quoting, zhang).rows)
    except UserError:
        return None


def _has_quotes(source: Input) -> bool:
    with reading(source.name), source.open() as stream:
        return any(b'"' in block for block in iter(lambda: stream.read(1 << 20), b""))


def _numbered(names: list[str]) -> list[str]:
    return [f"column {number}" for number in range(1, len(names) + 1)]


def _columns(
    first: list[str], wanted: ColumnSpec, origin: str, zhang: bool
) -> tuple[list[str], bool, Chosen]:
    """Returns the names of the columns, whether the first line is a header, and the choice."""
    if wanted.names:
        names = list(wanted.names)
        chosen = choose_columns(names, wanted, f"--data.columns for {origin}", header=False)
        return names, [field.strip() for field in first] == names, chosen
    names = [field.strip() for field in first]
    try:
        return names, True, choose_columns(names, wanted, origin, header=True)
    except UserError:
        asked = wanted.text or wanted.label
        if zhang and not asked and len(names) > 1 and names[0].isdecimal():
            label = None if wanted.unlabelled == "ignore" else 0
            return names, False, Chosen(tuple(range(1, len(names))), label)
        other = next((mark for mark in ";\t|," if mark in names[0]), None)
        if len(names) == 1 and other is not None:
            raise UserError(
                f"{origin}: the fields of its first line seem to be separated by {other!r}; "
                "expected ',' in a .csv file and a tab in a .tsv file: save it as one of these"
            ) from None
        raise


def _row(
    fields: list[str], width: int, chosen: Chosen, where: Where, wanted: ColumnSpec, errors: Errors
) -> Row:
    if len(fields) != width:
        raise UserError(
            f"{where}: {len(fields)} fields where {width} were expected; "
            "a field that holds the separator, a quote or a line break must be in double quotes"
        )
    label = None if chosen.label is None else fields[chosen.label]
    return make_row([fields[i] for i in chosen.text], label, where, wanted, errors)


def _records(
    stream: io.TextIOWrapper, origin: str, delimiter: str, quoting: int
) -> Iterator[Record]:
    """Yields the records that are not blank lines."""
    lines = bounded_lines(stream, origin)
    reader = csv.reader(lines, delimiter=delimiter, quoting=quoting, strict=True)  # type: ignore[arg-type]
    line = 1
    while True:
        try:
            fields = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            raise UserError(
                f"{origin}, line {line}: broken quotes or separators ({error}); a field "
                "that starts with a double quote must end with one, and quotes in it are doubled"
            ) from error
        if fields and (len(fields) > 1 or fields[0].strip()):
            yield Record(line, fields)
        line = reader.line_num + 1


@contextmanager
def _long_fields() -> Iterator[None]:
    limit = csv.field_size_limit(_LARGEST_FIELD)
    try:
        yield
    finally:
        csv.field_size_limit(limit)
