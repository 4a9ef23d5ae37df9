"""JSON files: one object a line, or one array of objects."""

from __future__ import annotations

import io
import itertools
import json
from collections.abc import Iterator
from typing import Any

from wave_jax.data.columns import ColumnSpec, choose_columns
from wave_jax.data.rows import Errors, Where
from wave_jax.data.streams import Input, bounded_lines
from wave_jax.data.table import Row, Table, make_row
from wave_jax.errors import UserError

_LARGEST_ARRAY = 512 << 20


def open_jsonl(source: Input, wanted: ColumnSpec, errors: Errors) -> Table:
    """Opens a file of objects with the text and label under keys; other keys may hold anything.

    A text that is null counts as empty. Columns are chosen by the keys of the first object.
    """
    objects = _objects(source, errors)
    first = next(objects, None)
    if first is None:
        raise UserError(f"{source.name} holds no rows")
    keys = list(first[1])
    chosen = choose_columns(keys, wanted, source.name, header=False)

    def rows() -> Iterator[Row]:
        for where, record in itertools.chain((first,), objects):
            texts = [_text(record, keys[i], where) for i in chosen.text]
            label = None
            if chosen.label is not None and wanted.unlabelled == "skip":
                label = record.get(keys[chosen.label])
            elif chosen.label is not None:
                label = _value(record, keys[chosen.label], where)
            yield make_row(texts, label, where, wanted, errors)

    return Table(source.name, chosen.described(keys), rows())


def _objects(source: Input, errors: Errors) -> Iterator[tuple[Where, dict[str, Any]]]:
    with source.lines(errors, newline="\n") as stream:
        yield from _parsed(stream, source.name)


def _parsed(stream: io.TextIOWrapper, origin: str) -> Iterator[tuple[Where, dict[str, Any]]]:
    row = 0
    for number, line in enumerate(bounded_lines(stream, origin), 1):
        if line.isspace():
            continue
        if row == 0 and line.lstrip().startswith("["):
            rest = stream.read(_LARGEST_ARRAY + 1)
            if len(rest) > _LARGEST_ARRAY:
                raise UserError(
                    f"{origin} is one array of more than {_LARGEST_ARRAY >> 20} million characters,"
                    " which must be read whole; write one object a line"
                )
            yield from _array(line + rest, origin)
            return
        row += 1
        where = Where(origin, row, number)
        yield where, _object(_parse(line, where), where)


def _array(text: str, origin: str) -> Iterator[tuple[Where, dict[str, Any]]]:
    values = _parse(text, origin)
    if not isinstance(values, list):
        raise UserError(f"{origin}: expected one JSON object a line, or an array of objects")
    for row, value in enumerate(values, 1):
        where = Where(origin, row)
        yield where, _object(value, where)


def _parse(text: str, where: Where | str) -> Any:
    try:
        return json.loads(text)
    except RecursionError:
        raise UserError(f"{where}: the JSON is nested too deeply to be read") from None
    except ValueError as error:  # bad JSON, or a number of thousands of digits
        raise UserError(f"{where}: not valid JSON ({error})") from error


def _object(value: Any, where: Where) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise UserError(
            f"{where}: expected a JSON object such as "
            f'{{"text": "...", "label": "..."}}, found {_kind(value)}'
        )
    return value


def _value(record: dict[str, Any], key: str, where: Where) -> Any:
    if key not in record:
        raise UserError(f"{where}: the key {key!r} is missing")
    return record[key]


def _text(record: dict[str, Any], key: str, where: Where) -> str:
    value = _value(record, key, where)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise UserError(f"{where}: {key!r} should hold a string, found {_kind(value)}")
    return value


def _kind(value: Any) -> str:
    kinds = {dict: "an object", list: "an array", str: "a string", bool: "true or false"}
    return kinds.get(type(value), "null" if value is None else "a number")
