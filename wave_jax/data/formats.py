"""One reader per file format; each returns the columns and an iterator over the rows."""

from __future__ import annotations

import csv
import itertools
import json
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from wave_jax.data.streams import LONGEST_LINE, Errors, Input, plain_suffix, reading, text_codec
from wave_jax.data.table import Columns, ColumnSpec, check_named, choose_columns, row_name
from wave_jax.errors import UserError, one_line, shorten

FASTTEXT_LABEL = "__label__"
_EXCEL = re.compile(r'"?sep=([^"\r\n])"?\r?\n')  # its line above the header, with the delimiter
_UNLABELLED = -1  # class index of rows without a label, in TFDS and Hugging Face's datasets
_POINTER = b"version https://git-lfs.github.com/spec/"
# What messages call a row, and its texts, label and group as they stand in the file.
Row = tuple[str, list[Any], Any, Any]
Rows = tuple[Columns, Iterator[Row]]
Reader = Callable[[Input, ColumnSpec], Rows]


def read_delimited(source: Input, spec: ColumnSpec, delimiter: str) -> Rows:
    """Reads a csv or tsv file, with the user's delimiter, or else `delimiter`.

    Another is found where that does not give the columns; a first line `sep=;` names it. Tsv files
    are often written without quoting: where their quotes do not pair up, or pair up across lines
    that are rows of their own, quotes are read as part of the text.
    """
    usual = spec.delimiter or delimiter
    delimiter = _delimiter(source, spec, usual)
    read = partial(_read_delimited, source, spec, delimiter)

    def count(quoting: int) -> int | None:
        try:
            return sum(1 for _ in read(quoting)[1])
        except UserError:
            return None

    quoting = csv.QUOTE_MINIMAL
    if delimiter == "\t" and any('"' in line for line in source.lines(spec.errors, newline="")):
        quoted, plain = count(csv.QUOTE_MINIMAL), count(csv.QUOTE_NONE)
        if quoted is None or plain not in (None, quoted):
            quoting = csv.QUOTE_NONE
    columns, rows = read(quoting)
    return replace(columns, delimiter=None if delimiter == usual else delimiter), rows


def read_fasttext(source: Input, spec: ColumnSpec) -> Rows:
    """Reads fastText's format: `__label__CLASS` and the text, one row per line."""
    check_ungrouped(f"{source.name} is a fastText file", spec)

    def rows() -> Iterator[Row]:
        for where, line in _filled_lines(source, spec.errors):
            head, _, text = line.strip(" \t\r\n").replace("\t", " ").partition(" ")
            if not head.startswith(FASTTEXT_LABEL):
                raise UserError(f"{where}: expected {FASTTEXT_LABEL}CLASS and then the text")
            if text.lstrip().startswith(FASTTEXT_LABEL):
                raise UserError(f"{where}: several labels; every text must have exactly one")
            yield where, [text.strip()], head.removeprefix(FASTTEXT_LABEL), None

    return Columns(), rows()


def read_jsonl(source: Input, spec: ColumnSpec) -> Rows:
    """Reads JSON objects, one per line or in one array, whose keys are those of the first one."""
    records = _json_objects(source, spec.errors)
    if (first := next(records, None)) is None:
        raise UserError(f"{source.name} holds no rows")
    columns = choose_columns(list(first[1]), spec, source.name)
    return columns, mapped_rows(columns, itertools.chain((first,), records))


def read_parquet(source: Input, spec: ColumnSpec) -> Rows:
    """Reads a parquet file, with the class names that Hugging Face's `datasets` stores in it."""
    with _arrow_errors(source.name), source.open() as stream:
        schema = pq.read_schema(stream)
    columns = choose_columns(schema.names, spec, source.name)
    wanted = dict.fromkeys((*columns.text, columns.label, columns.group))
    used = [check_named(schema.names, name, source.name) for name in wanted if name is not None]

    def records() -> Iterator[tuple[str, dict[str, Any]]]:
        rows = itertools.count(1)
        with _arrow_errors(source.name), source.open() as stream:
            # as dictionaries, which may repeat a long text without filling the memory with it
            flat = [name for name in used if not pa.types.is_nested(schema.field(name).type)]
            file = pq.ParquetFile(stream, read_dictionary=flat)
            for batch in file.iter_batches(8192, columns=used):
                for values in zip(*(_arrow_values(batch[name]) for name in used), strict=True):
                    yield row_name(source.name, next(rows)), dict(zip(used, values, strict=True))

    columns = replace(columns, classes=_hugging_face_classes(schema, columns.label))
    return columns, mapped_rows(columns, records())


FORMATS: dict[str, Reader] = {
    ".csv": partial(read_delimited, delimiter=","),
    **dict.fromkeys((".tsv", ".tab"), partial(read_delimited, delimiter="\t")),
    **dict.fromkeys((".jsonl", ".ndjson", ".json"), read_jsonl),
    **dict.fromkeys((".parquet", ".pq"), read_parquet),
}


def open_rows(source: Input, spec: ColumnSpec) -> Rows:
    """Opens a file in the format of its suffix, or else of its first bytes."""
    with reading(source.name), source.open() as stream:
        start = stream.read(4096)
    if start.startswith(_POINTER):
        raise UserError(f"{source.name} has its data elsewhere: run 'git lfs pull' in its folder")
    if reader := FORMATS.get(plain_suffix(Path(source.name))):
        return reader(source, spec)
    if spec.delimiter is not None:
        return read_delimited(source, spec, spec.delimiter)
    if start.startswith(b"PAR1"):
        return read_parquet(source, spec)
    codec = text_codec(start, source.name, source.encoding)
    text = start.decode(codec, "ignore").lstrip("\ufeff \t\r\n")
    for sign, reader in ((FASTTEXT_LABEL, read_fasttext), ("{", read_jsonl)):
        if text.startswith(sign):
            return reader(source, spec)
    known = f".csv, .tsv, .jsonl, .parquet, or text whose lines begin with {FASTTEXT_LABEL}"
    raise UserError(f"{source.name}: unknown format; expected {known}, or a folder or archive")


def check_ungrouped(what: str, spec: ColumnSpec) -> None:
    """Raises UserError where texts without columns should be grouped by one."""
    if spec.group is not None:
        advice = "leave --data.group-column out, or give a csv, tsv, jsonl or parquet file"
        raise UserError(f"{what}, which has no column {spec.group!r}: {advice}")


def mapped_rows(columns: Columns, records: Iterable[tuple[str, dict[str, Any]]]) -> Iterator[Row]:
    """Yields the rows of records that map names of columns to values; None as a text is empty."""
    for where, record in records:
        for key in (*columns.text, columns.group):
            if key is not None and key not in record:
                raise UserError(f"{where}: the key {key!r} is missing")
        for key in columns.text:
            if not isinstance(record[key], str | bytes | None):
                found = shorten(repr(record[key]))
                raise UserError(f"{where}: {key!r} should hold a string, found {found}")
        label = None if columns.label is None else record.get(columns.label)
        label = label.item() if isinstance(label, np.generic) else label
        if columns.classes is not None and label is not None:
            if not _UNLABELLED <= label < (count := len(columns.classes)):
                raise UserError(f"{where}: the label {label}, but the file names {count} classes")
            label = None if label == _UNLABELLED else columns.classes[label]
        group = None if columns.group is None else record[columns.group]
        yield where, [record[key] for key in columns.text], label, group


def parse_json(text: str | bytes, where: str) -> Any:
    """Parses JSON; UserError where it is invalid, nested too deeply, or has a huge number."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise UserError(f"{where}: not valid JSON ({error})") from error


def _delimiter(source: Input, spec: ColumnSpec, usual: str) -> str:
    """Returns what separates the fields: `usual`, unless only another gives the columns."""
    for delimiter in dict.fromkeys((usual, *",;|\t")):
        try:
            records = _csv_records(source, spec.errors, delimiter, csv.QUOTE_MINIMAL)
            first = [fields for _, fields in itertools.islice(records, 20)]  # rows
            names, _ = _find_columns(first[0], spec, source.name)
        except (UserError, IndexError):
            continue
        if not spec.names or all(len(fields) == len(names) for fields in first):
            return delimiter
    return usual


def _read_delimited(source: Input, spec: ColumnSpec, delimiter: str, quoting: int) -> Rows:
    records = _csv_records(source, spec.errors, delimiter, quoting)
    if (first := next(records, None)) is None:
        raise UserError(f"{source.name} is empty; it should hold texts")
    given = f", separated by {delimiter!r} (--data.delimiter)," if spec.delimiter else ""
    names, columns = _find_columns(first[1], spec, source.name + given)
    if not columns.headerless:
        first = next(records, None)
    if first is None:
        raise UserError(f"{source.name} holds a header line and no rows")
    text = [names.index(name) for name in columns.text]
    others = [None if n is None else names.index(n) for n in (columns.label, columns.group)]

    def rows() -> Iterator[Row]:
        for row, (line, fields) in enumerate(itertools.chain((first,), records), 1):
            where = row_name(source.name, row, line)
            if len(fields) != len(names):
                what = f"{where}: {len(fields)} fields where {len(names)} were expected"
                raise UserError(f"{what}; one that holds a separator needs double quotes around it")
            label, group = (None if i is None else fields[i] for i in others)
            yield where, [fields[i] for i in text], label, group

    return replace(columns, untyped=True), rows()


def _csv_records(
    source: Input, errors: Errors, delimiter: str, quoting: int
) -> Iterator[tuple[int, list[str]]]:
    """Yields the number of the first line and the fields of each record that is not blank."""
    csv.field_size_limit(LONGEST_LINE)  # the default of 128 KiB would refuse long texts
    line, lines = 1, source.lines(errors, newline="")
    first = next(lines, "")
    if excel := _EXCEL.fullmatch(first):
        first, delimiter = "\n", excel[1]
    form: dict[str, Any] = {"delimiter": delimiter, "quoting": quoting, "strict": True}
    reader = csv.reader(itertools.chain([first], lines), **form)
    try:
        for fields in reader:
            if fields and (len(fields) > 1 or fields[0].strip()):
                yield line, fields
            line = reader.line_num + 1
    except csv.Error as error:
        what = f"{source.name}, line {line}: broken quotes or separators ({error}); a field that"
        advice = "starts with a double quote must end with one, and quotes in it are doubled"
        raise UserError(f"{what} {advice}") from error


def _find_columns(first: list[str], spec: ColumnSpec, origin: str) -> tuple[Sequence[str], Columns]:
    """Returns the names of all columns, and those read, of a file whose first record is `first`."""
    names = [field.strip() for field in first]
    if spec.names:
        columns = choose_columns(spec.names, spec, f"--data.columns for {origin}")
        return spec.names, replace(columns, headerless=names != list(spec.names))
    try:
        return names, choose_columns(names, spec, origin)
    except UserError as error:
        unnamed = not (spec.text or spec.label or spec.group)
        if spec.zhang and unnamed and len(names) > 1 and names[0].isdecimal():
            names = [f"column {i}" for i in range(1, len(names) + 1)]
            label = None if spec.unlabelled == "ignore" else names[0]
            return names, Columns(tuple(names[1:]), label, headerless=True)
        advice = "name its columns in order with --data.columns (such as --data.columns label text)"
        raise UserError(f"{error}; if the file has no header line, {advice}") from None


def _filled_lines(source: Input, errors: Errors) -> Iterator[tuple[str, str]]:
    """Yields the lines that are not blank, with what messages call them."""
    rows = itertools.count(1)
    for number, line in enumerate(source.lines(errors, newline="\n"), 1):
        if not line.isspace():
            yield row_name(source.name, next(rows), number), line


def _json_objects(source: Input, errors: Errors) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yields the object of each line, or those of the array that the file begins with."""
    lines = _filled_lines(source, errors)
    first = next(lines, ("", ""))
    if first[1].lstrip().startswith("["):
        whole = parse_json(first[1] + "".join(line for _, line in lines), source.name)
        values = ((row_name(source.name, row), value) for row, value in enumerate(whole, 1))
    else:
        filled = itertools.chain([first] if first[1] else [], lines)
        values = ((where, parse_json(line, where)) for where, line in filled)
    for where, value in values:
        if not isinstance(value, dict):
            example, shown = '{"text": "...", "label": "..."}', shorten(json.dumps(value))
            raise UserError(f"{where}: expected a JSON object such as {example}, found {shown}")
        yield where, value


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
        values = _arrow_values(column.dictionary)
        return [None if index is None else values[index] for index in column.indices.to_pylist()]
    if "string" in str(column.type) and not pa.types.is_nested(column.type):
        column = column.cast(pa.large_binary())  # may be no UTF-8
    return list(column.to_pylist())


def _hugging_face_classes(schema: pa.Schema, label: str | None) -> tuple[str, ...] | None:
    """Returns the names of a ClassLabel column, which `datasets` keeps in the file's metadata."""
    try:
        feature = json.loads(schema.metadata[b"huggingface"])["info"]["features"][label]
        integers = pa.types.is_integer(schema.field(label).type)
        return tuple(feature["names"]) if integers and feature["_type"] == "ClassLabel" else None
    except (KeyError, TypeError, ValueError):  # no such metadata, or no label
        return None
