"""One reader per file format; each returns the columns and an iterator over the rows."""

from __future__ import annotations

import csv
import itertools
import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from functools import partial
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from wave_jax.data.columns import Columns, ColumnSpec, choose_columns
from wave_jax.data.streams import LONGEST_LINE, Errors, Input, bounded_lines, reading
from wave_jax.data.table import Row, Where, clean_rows
from wave_jax.errors import UserError, one_line, shorten

FASTTEXT_LABEL = "__label__"
_LARGEST_ARRAY = 512 << 20
_UNLABELLED = -1  # class index of rows without a label in Hugging Face's datasets

Rows = Iterator[Row]
Records = Iterable[tuple[Where, Mapping[str, Any]]]


def read_delimited(
    source: Input, spec: ColumnSpec, errors: Errors, *, delimiter: str, zhang: bool = False
) -> tuple[Columns, Rows]:
    """Reads a csv or tsv file.

    With `zhang`, a file whose first line is no header is taken to be in the layout of Zhang et al.
    (2015): the class, counted from 1, and then the columns of text.

    Tsv files are often written without quoting: where their quotes do not pair up, or pair up
    across lines that are rows of their own, quotes are read as part of the text.
    """
    read = partial(_read_delimited, source, spec, errors, delimiter=delimiter, zhang=zhang)

    def count(quoting: int) -> int | None:
        try:
            return sum(1 for _ in clean_rows(read(quoting=quoting)[1], spec, errors))
        except UserError:
            return None

    quoting = csv.QUOTE_MINIMAL
    if delimiter == "\t" and _has_quotes(source):
        quoted, plain = count(csv.QUOTE_MINIMAL), count(csv.QUOTE_NONE)
        if quoted is None or plain not in (None, quoted):
            quoting = csv.QUOTE_NONE
    return read(quoting=quoting)


def read_fasttext(source: Input, errors: Errors) -> tuple[Columns, Rows]:
    """Reads fastText's format: `__label__CLASS` and the text, one row per line."""

    def rows() -> Rows:
        with source.lines(errors, newline="\n") as stream:
            for where, line in _filled_lines(bounded_lines(stream, source.name), source.name):
                head, _, text = line.strip(" \t\r\n").replace("\t", " ").partition(" ")
                if not head.startswith(FASTTEXT_LABEL):
                    raise UserError(f"{where}: expected {FASTTEXT_LABEL}CLASS and then the text")
                if text.lstrip().startswith(FASTTEXT_LABEL):
                    raise UserError(f"{where}: several labels; every text must have exactly one")
                yield Row(where, [text.strip()], head.removeprefix(FASTTEXT_LABEL))

    return Columns(), rows()


def read_jsonl(source: Input, spec: ColumnSpec, errors: Errors) -> tuple[Columns, Rows]:
    """Reads JSON objects, one per line or in one array; null as a text counts as empty.

    Columns are chosen among the keys of the first object; other keys may hold anything.
    """
    records = iter(_json_objects(source, errors))
    first = next(records, None)
    if first is None:
        raise UserError(f"{source.name} holds no rows")
    columns = choose_columns(list(first[1]), spec, source.name)
    return columns, mapped_rows(columns, itertools.chain((first,), records))


def read_parquet(source: Input, spec: ColumnSpec) -> tuple[Columns, Rows]:
    """Reads a parquet file: text columns of strings or bytes, where null counts as empty.

    Integer labels become class names where Hugging Face's `datasets` stored these in the file.
    """
    with ExitStack() as stack:
        stack.enter_context(_arrow_errors(source.name))
        file = pq.ParquetFile(stack.enter_context(source.open()))
        schema = file.schema_arrow
        columns = choose_columns(schema.names, spec, source.name)
        used = [schema.names[i] for i in {*columns.text, columns.label} if i is not None]
        if columns.label is not None:
            label = schema.names[columns.label]
            columns = replace(columns, classes=_hugging_face_classes(schema, label))
        opened = stack.pop_all()

    def records() -> Iterator[tuple[Where, dict[str, Any]]]:
        row = 0
        with opened:
            for batch in file.iter_batches(8192, columns=used):
                for values in zip(*(_arrow_values(batch[name]) for name in used), strict=True):
                    row += 1
                    where, record = Where(source.name, row), dict(zip(used, values, strict=True))
                    if columns.classes is not None:
                        record[label] = _class_of(record[label], columns.classes, where)
                    yield where, record

    return columns, mapped_rows(columns, records())


def mapped_rows(columns: Columns, records: Records) -> Rows:
    """Yields the rows of records that map the names of columns to values."""
    texts = [columns.names[i] for i in columns.text]
    label = None if columns.label is None else columns.names[columns.label]
    for where, record in records:
        for key in texts:
            if key not in record:
                raise UserError(f"{where}: the key {key!r} is missing")
            if not isinstance(record[key], str | bytes | None):
                found = shorten(repr(record[key]))
                raise UserError(f"{where}: {key!r} should hold a string, found {found}")
        value = None if label is None else record.get(label)
        yield Row(where, [record[key] for key in texts], value)


def _read_delimited(
    source: Input, spec: ColumnSpec, errors: Errors, *, delimiter: str, quoting: int, zhang: bool
) -> tuple[Columns, Rows]:
    records = _csv_records(source, errors, delimiter, quoting)
    first = next(records, None)
    if first is None:
        raise UserError(f"{source.name} is empty; it should hold texts")
    columns = _delimited_columns(first[1], spec, source.name, zhang)
    if not columns.headerless:
        first = next(records, None)
    if first is None:
        raise UserError(f"{source.name} holds a header line and no rows")
    width = len(columns.names)

    def rows() -> Rows:
        for row, (line, fields) in enumerate(itertools.chain((first,), records), 1):
            where = Where(source.name, row, line)
            if len(fields) != width:
                raise UserError(
                    f"{where}: {len(fields)} fields where {width} were expected; a field that "
                    "holds the separator, a quote or a line break must be in double quotes"
                )
            label = None if columns.label is None else fields[columns.label]
            yield Row(where, [fields[i] for i in columns.text], label)

    return columns, rows()


def _csv_records(
    source: Input, errors: Errors, delimiter: str, quoting: int
) -> Iterator[tuple[int, list[str]]]:
    """Yields the first line's number and the fields of each record that is not a blank line."""
    limit = csv.field_size_limit(LONGEST_LINE)  # the default of 128 KiB would refuse long texts
    line = 1
    try:
        with source.lines(errors, newline="") as stream:
            lines = bounded_lines(stream, source.name)
            reader = csv.reader(lines, delimiter=delimiter, quoting=quoting, strict=True)  # type: ignore[arg-type]
            for fields in reader:
                if fields and (len(fields) > 1 or fields[0].strip()):
                    yield line, fields
                line = reader.line_num + 1
    except csv.Error as error:
        raise UserError(
            f"{source.name}, line {line}: broken quotes or separators ({error}); a field "
            "that starts with a double quote must end with one, and quotes in it are doubled"
        ) from error
    finally:
        csv.field_size_limit(limit)


def _delimited_columns(first: list[str], spec: ColumnSpec, origin: str, zhang: bool) -> Columns:
    """Returns the columns of a file whose first record is `first`."""
    names = [field.strip() for field in first]
    if spec.names:
        columns = choose_columns(spec.names, spec, f"--data.columns for {origin}")
        return replace(columns, headerless=names != list(spec.names), untyped=True)
    try:
        return replace(choose_columns(names, spec, origin, header=True), untyped=True)
    except UserError:
        if zhang and not (spec.text or spec.label) and len(names) > 1 and names[0].isdecimal():
            numbered = tuple(f"column {i}" for i in range(1, len(names) + 1))
            label = None if spec.unlabelled == "ignore" else 0
            text = tuple(range(1, len(names)))
            return Columns(numbered, text, label, headerless=True, untyped=True)
        other = next((mark for mark in ";\t|," if mark in names[0]), None)
        if len(names) == 1 and other is not None:
            raise UserError(
                f"{origin}: the fields of its first line seem to be separated by {other!r}; "
                "expected ',' in a .csv file and a tab in a .tsv file: save it as one of these"
            ) from None
        raise


def _has_quotes(source: Input) -> bool:
    with reading(source.name), source.open() as stream:
        return any(b'"' in block for block in iter(lambda: stream.read(1 << 20), b""))


def _filled_lines(lines: Iterable[str], origin: str) -> Iterator[tuple[Where, str]]:
    """Yields the lines that are not blank."""
    row = 0
    for number, line in enumerate(lines, 1):
        if not line.isspace():
            row += 1
            yield Where(origin, row, number), line


def _json_objects(source: Input, errors: Errors) -> Iterator[tuple[Where, dict[str, Any]]]:
    with source.lines(errors, newline="\n") as stream:
        for where, line in _filled_lines(bounded_lines(stream, source.name), source.name):
            if where.row > 1 or not line.lstrip().startswith("["):
                yield where, _json_object(_parse_json(line, where), where)
                continue
            rest = stream.read(_LARGEST_ARRAY + 1)
            if len(rest) > _LARGEST_ARRAY:
                raise UserError(
                    f"{source.name} is one array of more than {_LARGEST_ARRAY >> 20} million "
                    "characters, which must be read whole; write one object per line"
                )
            for row, value in enumerate(_parse_json(line + rest, source.name), 1):
                where = Where(source.name, row)
                yield where, _json_object(value, where)


def _parse_json(text: str, where: Where | str) -> Any:
    try:
        return json.loads(text)
    except RecursionError:
        raise UserError(f"{where}: the JSON is nested too deeply to be read") from None
    except ValueError as error:  # invalid JSON, or a number of thousands of digits
        raise UserError(f"{where}: not valid JSON ({error})") from error


def _json_object(value: Any, where: Where) -> dict[str, Any]:
    if not isinstance(value, dict):
        example, found = '{"text": "...", "label": "..."}', shorten(json.dumps(value))
        raise UserError(f"{where}: expected a JSON object such as {example}, found {found}")
    return value


@contextmanager
def _arrow_errors(origin: str) -> Iterator[None]:
    with reading(origin):
        try:
            yield
        except pa.ArrowException as error:
            reason = one_line(error)
            raise UserError(f"{origin} is not a readable parquet file ({reason})") from error


def _arrow_values(column: pa.Array) -> list[Any]:
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    if "string" in str(column.type) and not pa.types.is_nested(column.type):
        column = column.cast(pa.large_binary())  # may be no UTF-8
    return list(column.to_pylist())


def _class_of(index: Any, classes: tuple[str, ...], where: Where) -> str | None:
    if index is None or index == _UNLABELLED:
        return None
    if not (isinstance(index, int) and 0 <= index < len(classes)):
        raise UserError(f"{where}: the label {index}, but the file names {len(classes)} classes")
    return classes[index]


def _hugging_face_classes(schema: pa.Schema, label: str) -> tuple[str, ...] | None:
    """Returns the names of a ClassLabel column, which `datasets` keeps in the file's metadata."""
    try:
        metadata = json.loads((schema.metadata or {}).get(b"huggingface", b"{}"))
        feature = metadata["info"]["features"][label]
        names = feature["names"] if feature["_type"] == "ClassLabel" else None
    except (ValueError, KeyError, TypeError, RecursionError):
        return None
    if not isinstance(names, list) or not all(isinstance(item, str) for item in names):
        return None
    distinct = len(set(names)) == len(names) and pa.types.is_integer(schema.field(label).type)
    return tuple(names) if distinct else None
