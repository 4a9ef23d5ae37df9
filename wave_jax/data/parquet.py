"""Parquet files, with class names where Hugging Face's datasets wrote them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from wave_jax.data.columns import ColumnSpec, choose_columns
from wave_jax.data.rows import Errors, Where, encodable
from wave_jax.data.streams import reading
from wave_jax.data.table import Row, Table, make_row
from wave_jax.errors import UserError, one_line

_ROWS_AT_ONCE = 8192
_UNLABELLED = -1  # as Hugging Face's datasets write a class that is not known


def open_parquet(path: Path, wanted: ColumnSpec, errors: Errors) -> Table:
    """Opens the text columns (strings or bytes; null counts as empty) and the label column."""
    origin = path.name
    with _arrow(origin):
        file = pq.ParquetFile(path)
        schema = file.schema_arrow
    columns = schema.names
    chosen = choose_columns(columns, wanted, origin, header=False)
    texts = [columns[i] for i in chosen.text]
    label = None if chosen.label is None else columns[chosen.label]
    for name in texts:
        if not _is_text(_plain_type(schema, name)):
            kind = _plain_type(schema, name)
            raise UserError(f"{origin}: column {name!r} is of type {kind}, expected strings")
    names = None if label is None else _class_names(schema, label, origin)

    def rows() -> Iterator[Row]:
        start = 1
        with _arrow(origin):
            used = sorted({*texts, *([label] if label else [])})
            for batch in file.iter_batches(_ROWS_AT_ONCE, columns=used):
                pieces = [_strings(_plain(batch, name), errors, origin, start) for name in texts]
                labels = _labels(batch, label, names, wanted, origin, start, errors)
                for row, (*parts, value) in enumerate(zip(*pieces, labels, strict=True), start):
                    yield make_row(parts, value, Where(origin, row), wanted, errors)
                start += batch.num_rows

    return Table(origin, chosen.described(columns), rows(), names=names)


@contextmanager
def _arrow(origin: str) -> Iterator[None]:
    with reading(origin):
        try:
            yield
        except pa.ArrowException as error:
            raise UserError(
                f"{origin} is not a readable parquet file ({one_line(error)})"
            ) from error


def _strings(column: pa.Array, errors: Errors, origin: str, start: int) -> list[str]:
    """Returns the column as strings; the quick way first, row by row where bytes are not UTF-8."""
    if not pa.types.is_binary(column.type) and not pa.types.is_large_binary(column.type):
        try:
            return [text or "" for text in column.to_pylist()]
        except UnicodeDecodeError:
            column = column.cast(pa.large_binary())
    handler = "surrogateescape" if errors == "strict" else "replace"
    return [
        encodable((data or b"").decode("utf-8", handler), errors, Where(origin, row))
        for row, data in enumerate(column.to_pylist(), start)
    ]


def _class_names(schema: pa.Schema, label: str, origin: str) -> tuple[str, ...] | None:
    """Returns the names of the classes where the file tells them; refuses a wrong type of label."""
    kind = _plain_type(schema, label)
    if not _is_text(kind) and not _is_number(kind):
        raise UserError(
            f"{origin}: the label column {label!r} is of type {kind}, "
            "expected whole numbers or strings"
        )
    return _hugging_face_names(schema, label) if pa.types.is_integer(kind) else None


def _labels(
    batch: pa.RecordBatch,
    label: str | None,
    names: tuple[str, ...] | None,
    wanted: ColumnSpec,
    origin: str,
    start: int,
    errors: Errors,
) -> list[Any]:
    if label is None:
        return [None] * batch.num_rows
    column = _plain(batch, label)
    if _is_text(column.type):
        return _strings(column, errors, origin, start)
    values: list[Any] = column.to_pylist()
    if names is None:
        return values
    found: list[Any] = []
    for row, value in enumerate(values, start):
        if value is None or (value == _UNLABELLED and wanted.unlabelled == "skip"):
            found.append(None)
        elif 0 <= value < len(names):
            found.append(names[value])
        else:
            where = Where(origin, row)
            raise UserError(f"{where}: the label {value}, but the file names {len(names)} classes")
    return found


def _plain(batch: pa.RecordBatch, name: str) -> pa.Array:
    column = batch.column(name)
    return column.cast(column.type.value_type) if pa.types.is_dictionary(column.type) else column


def _plain_type(schema: pa.Schema, name: str) -> pa.DataType:
    kind = schema.field(name).type
    return kind.value_type if pa.types.is_dictionary(kind) else kind


def _is_text(kind: pa.DataType) -> bool:
    tests = (
        *(pa.types.is_string, pa.types.is_large_string, pa.types.is_string_view),
        *(pa.types.is_binary, pa.types.is_large_binary),
    )
    return any(test(kind) for test in tests)


def _is_number(kind: pa.DataType) -> bool:
    return pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_boolean(kind)


def _hugging_face_names(schema: pa.Schema, name: str) -> tuple[str, ...] | None:
    """Returns the names of a ClassLabel column, which `datasets` keeps in the file's metadata."""
    try:
        metadata = json.loads((schema.metadata or {}).get(b"huggingface", b"{}"))
        feature = metadata["info"]["features"][name]
        names = feature["names"] if feature["_type"] == "ClassLabel" else None
    except (ValueError, KeyError, TypeError, RecursionError):
        return None
    if not isinstance(names, list) or not all(isinstance(item, str) for item in names):
        return None
    return tuple(names) if len(set(names)) == len(names) else None
