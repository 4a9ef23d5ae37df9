"""Files, folders and archives of labelled texts, whatever their format."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from wave_jax.data.formats import (
    FASTTEXT_LABEL,
    FORMATS,
    Reader,
    Row,
    parse_json,
    read_fasttext,
    read_jsonl,
    read_parquet,
)
from wave_jax.data.streams import (
    DECODE_ERRORS,
    Errors,
    Input,
    existing,
    open_files,
    plain_suffix,
    reading,
)
from wave_jax.data.table import Columns, ColumnSpec, Splits, Table, remarks, row_name, whole_numbers
from wave_jax.errors import UserError, listed, shorten

LABELS = "labels.json"
_CLASSES = "classes.txt"
_ARCHIVES = (".tar", ".tgz", ".tar.gz", ".tar.bz2", ".tar.xz")
_STEMS = {"train": ("train",), "validation": ("validation", "valid", "dev"), "test": ("test",)}
_SHARD = re.compile(r"-\d+-of-\d+")
_SURROGATE = re.compile("[\ud800-\udfff]")
# Zhang et al. write a line break as a backslash and an n; AG News writes a bare backslash before
# the next word, which may begin with a small n.
_LINE_BREAK = re.compile(r"\\n(?![a-z])")


def read_source(path: Path, spec: ColumnSpec) -> Splits:
    """Reads a folder, a tar archive or a single file.

    Raises:
      UserError: it cannot be read or used; the message names the row.
    """
    if path.is_dir() or path.name.lower().endswith(_ARCHIVES):
        return read_folder(path, spec)
    table = read_file(path, spec)
    description = f"{path}: {len(table):,} rows{remarks(table)}"
    return Splits(path.name, description, {"train": table}, table.columns.classes)


def read_file(path: Path, spec: ColumnSpec) -> Table:
    """Reads a csv, tsv, jsonl, json, parquet or fastText file, compressed or not.

    The format is determined by the suffix of the file, or else by its first bytes. Where
    classes.txt is beside it, a csv without a header line has the layout of Zhang et al. (2015).

    Raises:
      UserError: the file cannot be read or used; the message names the row.
    """
    source, names = Input.file(existing(path)), path.parent / _CLASSES
    if not names.is_file():
        return _read(source, spec, None)
    return _read(source, replace(spec, zhang=True), Input.file(names))


def open_texts(path: Path, spec: ColumnSpec) -> tuple[str, Iterator[str]]:
    """Opens a file for its texts alone, labelled or not.

    Returns:
      A description of the columns, and an iterator over the texts that reads the file as it goes;
      errors are raised when their row is reached.
    """
    spec = replace(spec, unlabelled="ignore", zhang=(path.parent / _CLASSES).is_file())
    columns, rows = _open(Input.file(existing(path)), spec)
    return str(columns), (text for text, _ in clean_rows(columns, rows, spec))


def read_folder(place: Path, spec: ColumnSpec) -> Splits:
    """Reads train.*, test.* and, if present, validation.* of a folder or tar archive.

    Splits may be in shards. A train.csv without a header line holds the class, counted from 1, and
    then columns of text; classes.txt names the classes, one per line. labels.json, a list, fixes
    their order.
    """
    tables, spec = {}, replace(spec, zhang=True)
    with open_files(place) as files:
        names = files.get(_CLASSES)
        for split, stems in _STEMS.items():
            if shards := _find(place, files, stems):
                tables[split] = _concatenate([_read(files[n], spec, names) for n in shards])
        order = _read_label_order(files[LABELS]) if LABELS in files else None
    if "train" not in tables:
        there = listed(list(files)) or "no files"
        raise UserError(f"{place} has no train.csv (or .tsv, .jsonl, .parquet); it holds {there}")
    sizes = ", ".join(f"{split} {len(table):,}" for split, table in tables.items())
    description = f"{place}: {sizes}{remarks(*tables.values())}"
    classes = order or tables["train"].columns.classes
    return Splits(place.resolve().name, description, tables, classes)


def clean_rows(
    columns: Columns, rows: Iterable[Row], spec: ColumnSpec
) -> Iterator[tuple[str, str | None]]:
    """Yields the text and the class name of each row; None if it has no label or none is read.

    Raises:
      UserError: a label is missing or unusable, or a text is not UTF-8; the message names the row.
    """
    for where, values, label in rows:
        texts = [_decoded(value, spec.errors) for value in values]
        text = " ".join(text for text in texts if text and not text.isspace())
        if columns.headerless and "\\" in text:
            text = _LINE_BREAK.sub("\n", text).strip()
        text = encodable(text, spec.errors, where)
        label = _decoded(label, spec.errors)
        if spec.unlabelled == "ignore" or (spec.unlabelled == "skip" and _is_missing(label)):
            yield text, None
        else:
            yield text, encodable(class_name(label, where), spec.errors, where)


def collect(
    columns: Columns, rows: Iterable[Row], spec: ColumnSpec
) -> tuple[list[str], list[str], int]:
    """Returns the texts and class names of the labelled rows, and the number of the others."""
    found = list(clean_rows(columns, rows, spec))
    texts = [text for text, label in found if label is not None]
    labels = [label for _, label in found if label is not None]
    return texts, labels, len(found) - len(texts)


def encodable(text: str, errors: Errors, where: str) -> str:
    """Returns `text` if it can be written as UTF-8; else raises or substitutes U+FFFD.

    Bad bytes arrive here as lone surrogates (see `streams.DECODE_ERRORS`); JSON can spell them too.
    """
    if text.isascii() or not (found := _SURROGATE.search(text)):
        return text
    if errors == "replace":
        return _SURROGATE.sub("\N{REPLACEMENT CHARACTER}", text)
    code = ord(found.group())
    what = f"byte 0x{code - 0xDC00:02X}" if 0xDC80 <= code <= 0xDCFF else f"surrogate U+{code:X}"
    raise UserError(
        f"{where}: not valid UTF-8 ({what}); convert the file to UTF-8, "
        "or pass --data.errors replace to substitute U+FFFD"
    )


def class_name(value: Any, where: str) -> str:
    """Returns the class that a label names: stripped strings, whole numbers, true and false.

    >>> [class_name(value, "row 1") for value in (3.0, True, " pos ")]
    ['3', 'true', 'pos']
    """
    if _is_missing(value):
        what = "empty" if isinstance(value, str) else f"missing ({value})"
        raise UserError(
            f"{where}: the label is {what}; every row needs one, or --data.on-unlabelled skip to "
            "leave such rows out"
        )
    if isinstance(value, str):
        return value.strip()
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int) or (isinstance(value, float) and value.is_integer()):
        return str(int(value))
    shown = shorten(repr(value))
    raise UserError(f"{where}: the label {shown} is neither a whole number nor a string")


def _read(source: Input, spec: ColumnSpec, names: Input | None) -> Table:
    """Reads a file whose classes, if it has the layout of Zhang et al., are named by `names`."""
    columns, rows = _open(source, spec)
    texts, labels, skipped = collect(columns, rows, spec)
    if not texts:
        which = f"; {skipped:,} rows have no label" if skipped else ""
        raise UserError(f"{source.name} holds no rows to learn from{which}")
    if columns.untyped:
        labels = whole_numbers(labels)
    if columns.headerless and names is not None:
        columns = replace(columns, classes=_read_classes(names, spec.errors))
        labels = _name_classes(labels, columns.classes or (), source.name)
    return Table(texts, labels, source.name, columns, skipped)


def _open(source: Input, spec: ColumnSpec) -> tuple[Columns, Iterator[Row]]:
    return (FORMATS.get(plain_suffix(Path(source.name))) or _sniff(source))(source, spec)


def _sniff(source: Input) -> Reader:
    with reading(source.name), source.open() as stream:
        start = stream.read(4096).removeprefix(b"\xef\xbb\xbf").lstrip()
    signs = {FASTTEXT_LABEL.encode(): read_fasttext, b"PAR1": read_parquet, b"{": read_jsonl}
    for sign, reader in signs.items():
        if start.startswith(sign):
            return reader
    raise UserError(
        f"{source.name}: unknown format; expected a .csv, .tsv, .jsonl or .parquet file (gzip'd or "
        f"not), text whose lines begin with {FASTTEXT_LABEL}, or a folder with train.csv and "
        "test.csv"
    )


def _find(place: Path, names: Iterable[str], stems: tuple[str, ...]) -> list[str]:
    """Returns the file of a split, or its shards, such as train-00000-of-00002.parquet."""
    tables = (name for name in names if plain_suffix(Path(name)) in FORMATS)
    found = [name for name in tables if _SHARD.sub("", name.split(".")[0].lower()) in stems]
    if len(found) > 1 and not all(map(_SHARD.search, found)):
        raise UserError(f"{place} holds several files for one split: {listed(found)}")
    return found


def _concatenate(shards: list[Table]) -> Table:
    return replace(
        shards[0],
        texts=[text for shard in shards for text in shard.texts],
        labels=[label for shard in shards for label in shard.labels],
        skipped=sum(shard.skipped for shard in shards),
    )


def _name_classes(labels: list[str], classes: tuple[str, ...], origin: str) -> list[str]:
    """Returns the names of the class numbers of Zhang et al., which count from 1."""
    names = {name: name for name in classes}
    names |= {str(i): name for i, name in enumerate(classes, 1)}
    for row, label in enumerate(labels, 1):
        if label not in names:
            raise UserError(
                f"{row_name(origin, row)}: class {label}, but {_CLASSES} names classes 1 to "
                f"{len(classes)}"
            )
    return [names[label] for label in labels]


def _read_classes(source: Input, errors: Errors) -> tuple[str, ...]:
    lines = enumerate(source.lines(errors, newline=""), 1)
    found = (encodable(line.strip(), errors, row_name(source.name, i)) for i, line in lines)
    names = tuple(filter(None, found))
    if len(set(names)) < len(names):
        raise UserError(f"{source.name} names a class twice")
    return names


def _read_label_order(source: Input) -> tuple[str, ...]:
    with reading(source.name), source.open() as stream:
        names = parse_json(stream.read(), source.name)
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise UserError(f"{source.name}: expected a list of class names")
    return tuple(names)


def _decoded(value: Any, errors: Errors) -> Any:
    return value.decode("utf-8", DECODE_ERRORS[errors]) if isinstance(value, bytes) else value


def _is_missing(label: Any) -> bool:
    if isinstance(label, str):
        return not label.strip()
    return label is None or (isinstance(label, float) and math.isnan(label))
