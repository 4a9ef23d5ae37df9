"""Parquet files, with class names where Hugging Face's datasets wrote them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from wave_jax.data.columns import Wanted, choose_columns
from wave_jax.data.inputs import reading
from wave_jax.data.rows import Errors, Rows, Where, encodable, join_pieces, label_text, one_line
from wave_jax.errors import UserError


def read_parquet(path: Path, wanted: Wanted, errors: Errors) -> Rows:
    """Reads the text columns (strings or bytes; null counts as empty) and the label column."""
    origin = path.name
    with reading(origin):
        try:
            file = pq.ParquetFile(path)
            columns = file.schema_arrow.names
            chosen = choose_columns(columns, wanted, origin, header=False)
            used = sorted({columns[i] for i in (*chosen.text, chosen.label)})
            table = file.read(columns=used)
        except pa.ArrowException as error:
            raise UserError(
                f"{origin} is not a readable parquet file ({one_line(error)})"
            ) from error
    pieces = [_texts(table, columns[i], errors, origin) for i in chosen.text]
    texts = (
        pieces[0] if len(pieces) == 1 else [join_pieces(row) for row in zip(*pieces, strict=True)]
    )
    labels, names = _labels(table, columns[chosen.label], errors, origin)
    if not texts:
        raise UserError(f"{origin} holds no rows")
    return Rows(texts, labels, origin, names)


def _texts(table: pa.Table, name: str, errors: Errors, origin: str) -> list[str]:
    column = _plain(table, name)
    if not _is_text(column.type):
        raise UserError(f"{origin}: column {name!r} is of type {column.type}, expected strings")
    return _strings(column, errors, origin)


def _strings(column: pa.ChunkedArray, errors: Errors, origin: str) -> list[str]:
    """Returns the column as strings; the quick way first, row by row where bytes are not UTF-8."""
    if not pa.types.is_binary(column.type) and not pa.types.is_large_binary(column.type):
        try:
            return [text or "" for text in column.to_pylist()]
        except UnicodeDecodeError:
            column = column.cast(pa.large_binary())
    handler = "surrogateescape" if errors == "strict" else "replace"
    return [
        encodable((data or b"").decode("utf-8", handler), errors, Where(origin, row))
        for row, data in enumerate(column.to_pylist(), 1)
    ]


def _labels(
    table: pa.Table, name: str, errors: Errors, origin: str
) -> tuple[list[str], tuple[str, ...] | None]:
    column = _plain(table, name)
    names = _hugging_face_names(table, name)
    if _is_text(column.type):
        values: list[Any] = list(_strings(column, errors, origin))
    elif _is_number(column.type):
        values = column.to_pylist()
    else:
        raise UserError(
            f"{origin}: the label column {name!r} is of type {column.type}, "
            "expected whole numbers or strings"
        )
    labels = [label_text(value, Where(origin, row)) for row, value in enumerate(values, 1)]
    if names is None or not pa.types.is_integer(column.type):
        return labels, None
    for row, value in enumerate(values, 1):
        if not 0 <= value < len(names):
            where = Where(origin, row)
            raise UserError(f"{where}: the label {value}, but the file names {len(names)} classes")
    return [names[value] for value in values], names


def _plain(table: pa.Table, name: str) -> pa.ChunkedArray:
    column = table.column(name)
    return column.cast(column.type.value_type) if pa.types.is_dictionary(column.type) else column


def _is_text(kind: pa.DataType) -> bool:
    tests = (
        *(pa.types.is_string, pa.types.is_large_string, pa.types.is_string_view),
        *(pa.types.is_binary, pa.types.is_large_binary),
    )
    return any(test(kind) for test in tests)


def _is_number(kind: pa.DataType) -> bool:
    return pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_boolean(kind)


def _hugging_face_names(table: pa.Table, name: str) -> tuple[str, ...] | None:
    """Returns the names of a ClassLabel column, which `datasets` keeps in the file's metadata."""
    try:
        metadata = json.loads((table.schema.metadata or {}).get(b"huggingface", b"{}"))
        feature = metadata["info"]["features"][name]
        names = feature["names"] if feature["_type"] == "ClassLabel" else None
    except (ValueError, KeyError, TypeError, RecursionError):
        return None
    if not isinstance(names, list) or not all(isinstance(item, str) for item in names):
        return None
    return tuple(names) if len(set(names)) == len(names) else None
