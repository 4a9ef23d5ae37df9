"""JSON files: one object a line, or one array of objects."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from typing import Any

from wave_jax.data.columns import Chosen, Wanted, choose_columns
from wave_jax.data.inputs import Input, bounded_lines
from wave_jax.data.rows import Errors, Rows, Where, encodable, join_pieces, label_text
from wave_jax.errors import UserError

_LARGEST_ARRAY = 512 << 20


def read_jsonl(source: Input, wanted: Wanted, errors: Errors) -> Rows:
    """Reads objects with the text and label under keys; other keys may hold anything.

    A text that is null counts as empty. Columns are chosen by the keys of the first object.
    """
    rows = Rows([], [], source.name)
    keys: list[str] = []
    chosen: Chosen | None = None
    with source.lines(errors, newline="\n") as stream:
        for where, record in _objects(stream, source.name):
            if chosen is None:
                keys = list(record)
                chosen = choose_columns(keys, wanted, source.name, header=False)
            texts = [_text(record, keys[i], where) for i in chosen.text]
            label = label_text(_value(record, keys[chosen.label], where), where)
            rows.texts.append(encodable(join_pieces(texts), errors, where))
            rows.labels.append(encodable(label, errors, where))
    if not rows.texts:
        raise UserError(f"{source.name} holds no rows")
    return rows


def _objects(stream: io.TextIOWrapper, origin: str) -> Iterator[tuple[Where, dict[str, Any]]]:
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
