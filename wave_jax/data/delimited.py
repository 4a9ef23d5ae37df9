"""Comma- and tab-separated files, with a header line or without."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import NamedTuple

from wave_jax.data.columns import Chosen, Wanted, choose_columns
from wave_jax.data.inputs import LONGEST_LINE, Input, bounded_lines
from wave_jax.data.rows import (
    Errors,
    Rows,
    Where,
    encodable,
    join_pieces,
    label_text,
    whole_numbers,
)
from wave_jax.errors import UserError

_LARGEST_FIELD = LONGEST_LINE  # the csv module's own limit of 128 KiB would refuse long texts


class Record(NamedTuple):
    """The fields of a row and the line where it starts: a quoted field may span several lines."""

    line: int
    fields: list[str]


def read_delimited(
    source: Input, wanted: Wanted, errors: Errors, *, delimiter: str, zhang: bool = False
) -> Rows:
    """Reads a csv or tsv file.

    With `zhang`, a file whose first line is no header is read in the layout of Zhang et al.
    (2015): the class, counted from 1, then the columns of text; labels stay numbers here.

    A tsv file is often written without any quoting; where its quotes do not pair up, or pair up
    across lines that are rows by themselves, they are read as part of the text.
    """
    if delimiter != "\t":
        return _read(source, wanted, errors, delimiter, csv.QUOTE_MINIMAL, zhang)
    try:
        quoted = _read(source, wanted, errors, delimiter, csv.QUOTE_MINIMAL, zhang)
    except UserError:
        return _read(source, wanted, errors, delimiter, csv.QUOTE_NONE, zhang)
    try:
        plain = _read(source, wanted, errors, delimiter, csv.QUOTE_NONE, zhang)
    except UserError:
        return quoted
    return quoted if len(quoted) == len(plain) else plain


def read_records(
    source: Input, errors: Errors, *, delimiter: str, quoting: int = csv.QUOTE_MINIMAL
) -> Iterator[Record]:
    """Yields the rows of a file that are not blank, its header line among them if it has one."""
    with source.lines(errors, newline="") as stream, _long_fields():
        yield from _records(stream, source.name, delimiter, quoting)


def _read(
    source: Input, wanted: Wanted, errors: Errors, delimiter: str, quoting: int, zhang: bool
) -> Rows:
    records = read_records(source, errors, delimiter=delimiter, quoting=quoting)
    first = next(records, None)
    if first is None:
        raise UserError(f"{source.name} is empty; it should hold labelled texts")
    names, is_header, chosen = _columns(first.fields, wanted, source.name, zhang)
    rows = Rows([], [], source.name, zhang=not is_header)
    if not is_header:
        _append(rows, first, len(names), chosen, errors)
    for record in records:
        _append(rows, record, len(names), chosen, errors)
    if not rows.texts:
        raise UserError(f"{source.name} holds a header line and no rows")
    return replace(rows, labels=whole_numbers(rows.labels))


def _columns(
    first: list[str], wanted: Wanted, origin: str, zhang: bool
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
            return names, False, Chosen(tuple(range(1, len(names))), 0)
        raise


def _append(rows: Rows, record: Record, width: int, chosen: Chosen, errors: Errors) -> None:
    where = Where(rows.origin, len(rows) + 1, record.line)
    fields = record.fields
    if len(fields) != width:
        raise UserError(
            f"{where}: {len(fields)} fields where {width} were expected; "
            "a field that holds the separator, a quote or a line break must be in double quotes"
        )
    text = join_pieces([fields[i] for i in chosen.text])
    rows.texts.append(encodable(text, errors, where))
    rows.labels.append(encodable(label_text(fields[chosen.label], where), errors, where))


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
