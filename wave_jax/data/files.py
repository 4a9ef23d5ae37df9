"""Files, folders and archives of labelled texts, whatever their format."""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from wave_jax.data.archives import holds_files, open_files
from wave_jax.data.formats import Row, Rows, check_ungrouped, open_rows, parse_json
from wave_jax.data.layouts import CLASSES, LABELS, class_of, find_layout
from wave_jax.data.streams import DECODE_ERRORS, Errors, Input, bounded, capacity, existing
from wave_jax.data.table import Columns, ColumnSpec, Table, remarks, row_name, whole_numbers
from wave_jax.errors import UserError, listed, shorten

_ROW_BYTES = 200  # of a row in memory, besides its text
_LONGEST_TEXT = 32 << 20  # characters of a text that is a file
_SURROGATE = re.compile("[\ud800-\udfff]")
# Zhang et al. write a line break as a backslash and an n; AG News writes a bare backslash before
# the next word, which may begin with a small n.
_LINE_BREAK = re.compile(r"\\n(?![a-z])")


def read_source(path: Path, spec: ColumnSpec) -> tuple[dict[str, Table], str]:
    """Reads a single file, or the splits of a folder or archive, see `layouts.find_layout`.

    A csv of a folder without a header line has the layout of Zhang et al. (2015), with classes.txt
    naming the classes. labels.json, a list, fixes their order.

    Returns the tables by split, a file being 'train', and a description. Raises UserError, naming
    the row where there is one: something cannot be read or used.
    """
    if not holds_files(path):
        table = read_file(path, spec)
        return {"train": table}, f"{path}: {len(table):,} rows{remarks(table)}"
    tables, spec = {}, replace(spec, zhang=True)
    with open_files(path, spec.encoding) as files:
        layout = find_layout(str(path), list(files))
        beside = {name: files.get(str(layout.folder / name)) for name in (CLASSES, LABELS)}
        for split, names in layout.splits.items():
            own = spec if split == "train" else replace(spec, group=None)  # others stay whole
            folder = f"{path.name}, {split}" if layout.class_folders else ""
            tables[split] = _read([files[name] for name in names], own, beside[CLASSES], folder)
        if order := beside[LABELS]:
            classes = read_labels(order, spec.errors)
            tables["train"] = replace(tables["train"], classes=classes)
    sizes = ", ".join(f"{split} {len(table):,}" for split, table in tables.items())
    return tables, f"{path}: {sizes}{remarks(*tables.values())}{layout.note}"


def read_file(path: Path, spec: ColumnSpec) -> Table:
    """Reads a file in any of the formats, compressed or not; UserError as `read_source`.

    Where classes.txt is beside it, a csv without a header line has the layout of Zhang et al. Of a
    folder or an archive, this is the test split, or the only one.
    """
    if holds_files(existing(path)):
        tables, _ = read_source(path, spec)
        if "test" not in tables and len(tables) > 1:
            raise UserError(f"{path} has no test split, only {listed(list(tables))}")
        return tables.get("test", tables["train"])
    names = path.parent / CLASSES
    classes = Input.file(names, spec.encoding) if names.is_file() else None
    return _read([Input.file(path, spec.encoding)], replace(spec, zhang=bool(classes)), classes)


def open_texts_with_ids(path: Path, spec: ColumnSpec) -> tuple[str, Iterator[tuple[str, Any]]]:
    """Returns what the columns are, and the texts, each with its value in the column `spec.group`.

    They are read, and errors raised, as the iterator reaches their row.
    """
    spec = replace(spec, unlabelled="ignore", zhang=(path.parent / CLASSES).is_file())
    columns, rows = open_rows(Input.file(existing(path), spec.encoding), spec)
    return str(columns), ((text, value) for text, _, value in clean_rows(columns, rows, spec))


def clean_rows(
    columns: Columns, rows: Iterable[Row], spec: ColumnSpec
) -> Iterator[tuple[str, str | None, Any]]:
    """Yields text, class and group (its repr, or its value if labels are ignored) of each row.

    None if it has none or it is not read. Raises UserError, naming the row: a label is missing or
    unusable, or bytes are no text.
    """
    for where, values, label, group in rows:
        texts = [_decoded(value, spec.errors) for value in values]
        text = " ".join(text for text in texts if text and not text.isspace())
        if columns.headerless and "\\" in text:
            text = _LINE_BREAK.sub("\n", text).strip()
        text = encodable(text, spec.errors, where, spec.encoding)
        if spec.unlabelled == "ignore":
            if isinstance(group := _decoded(group, spec.errors), str):
                group = encodable(group, spec.errors, where, spec.encoding)
            yield text, None, group
            continue
        label = _decoded(label, spec.errors)
        name = _class_name(label, where)
        if name is None and spec.unlabelled == "stop":
            what = "empty" if isinstance(label, str) else f"missing ({label})"
            advice = "every row needs one, or --data.on-unlabelled skip to leave such rows out"
            raise UserError(f"{where}: the label is {what}; {advice}")
        no_group = group in (None, "", b"") or group != group  # NaN
        name = name and encodable(name, spec.errors, where, spec.encoding)
        yield text, name, None if no_group else repr(group)


def make_table(columns: Columns, rows: Iterable[Row], spec: ColumnSpec, origin: str) -> Table:
    """Returns the rows that have a label, and counts the others."""
    found = list(clean_rows(columns, rows, spec))
    texts = [text for text, label, _ in found if label is not None]
    labels = [label for _, label, _ in found if label is not None]
    groups = [group for _, label, group in found if label is not None]
    if columns.group is not None and len(set(groups)) == 1:
        what = f"all {len(texts):,} rows have one value in the column {columns.group!r}"
        advice = "name another with --data.group-column"
        raise UserError(f"{origin}: {what}, so that no split can part them; {advice}")
    labels = whole_numbers(labels) if columns.untyped else labels
    rest = columns.classes, len(found) - len(texts), groups if columns.group is not None else None
    return Table(texts, labels, origin, str(columns), *rest)


def encodable(text: str, errors: Errors, where: str, encoding: str | None = None) -> str:
    """Returns `text` if it can be written as UTF-8; else raises or substitutes U+FFFD.

    Bytes that do not fit `encoding` (None: UTF-8) arrive here as lone surrogates (see
    `DECODE_ERRORS`); JSON can spell them too.
    """
    if text.isascii() or not (found := _SURROGATE.search(text)):
        return text
    if errors == "replace":
        return _SURROGATE.sub("\N{REPLACEMENT CHARACTER}", text)
    code = ord(found.group())
    what = f"byte 0x{code - 0xDC00:02X}" if 0xDC00 <= code <= 0xDCFF else f"surrogate U+{code:X}"
    advice = "name its --data.encoding (such as cp1252), or pass --data.errors replace"
    raise UserError(f"{where}: not valid {encoding or 'UTF-8'} ({what}); {advice}")


def _read(shards: list[Input], spec: ColumnSpec, names: Input | None, folder: str = "") -> Table:
    """Reads files whose classes, if they have the layout of Zhang et al., are named by `names`.

    With `folder`, what messages call it, each is a text of the class that its path names.
    """
    opener, origin = (_open_text, folder) if folder else (open_rows, shards[0].name)
    columns, rows = opener(shards[0], spec)
    others = (row for shard in shards[1:] for row in opener(shard, spec)[1])
    rows = bounded(itertools.chain(rows, others), _row_size, capacity(shards), origin)
    table = make_table(columns, rows, spec, origin)
    if not table.texts:
        which = f"; {table.skipped:,} rows have no label" if table.skipped else ""
        raise UserError(f"{origin} holds no rows to learn from{which}")
    return _name_classes(table, names, spec.errors) if columns.headerless and names else table


def _open_text(source: Input, spec: ColumnSpec) -> Rows:
    """Reads a file that is one text, whose class is the name of its folder."""
    check_ungrouped(f"{source.name} is a text", spec)
    lines = source.lines(spec.errors, newline=None)
    text = "".join(bounded(lines, len, _LONGEST_TEXT, source.name))
    if "\0" in text:
        raise UserError(f"{source.name} holds a byte 0: if it is UTF-16, give --data.encoding")
    return Columns(), iter([(source.name, [text.strip()], class_of(source.name), None)])


def _row_size(row: Row) -> int:
    return _ROW_BYTES + sum(len(v) for v in (*row[1], *row[2:]) if isinstance(v, str | bytes))


def _name_classes(table: Table, source: Input, errors: Errors) -> Table:
    """Replaces the class numbers of Zhang et al., which count from 1, by the lines of `source`."""
    lines = enumerate(source.lines(errors, newline=""), 1)
    found = (encodable(line.strip(), errors, row_name(source.name, i)) for i, line in lines)
    classes = tuple(filter(None, found))
    names = {name: name for name in classes}
    if len(names) < len(classes):
        raise UserError(f"{source.name} names a class twice")
    names |= {str(i): name for i, name in enumerate(classes, 1)}
    for row, label in enumerate(table.labels, 1):
        if label not in names:
            known = f"{CLASSES} names classes 1 to {len(classes)}"
            raise UserError(f"{row_name(table.origin, row)}: class {label}, but {known}")
    return replace(table, labels=[names[label] for label in table.labels], classes=classes)


def read_labels(source: Input, errors: Errors) -> tuple[str, ...]:
    """Reads labels.json, a list of the classes in their order; UserError where it is not one."""
    names = parse_json("".join(source.lines(errors, newline="")), source.name)
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise UserError(f"{source.name}: expected a list of class names")
    return tuple(encodable(name, errors, source.name) for name in names)


def _class_name(value: Any, where: str) -> str | None:
    """Returns the class that a string, whole number or truth value names; None if it is missing."""
    if isinstance(value, str):
        return value.strip() or None
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return None
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int) or (isinstance(value, float) and value.is_integer()):
        return str(int(value))
    shown = shorten(repr(value))
    raise UserError(f"{where}: the label {shown} is neither a whole number nor a string")


def _decoded(value: Any, errors: Errors) -> Any:
    return value.decode("utf-8", DECODE_ERRORS[errors]) if isinstance(value, bytes) else value
