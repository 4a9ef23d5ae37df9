"""Files, folders and archives of labelled texts, whatever their format."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

from wave_jax.data.columns import Columns, ColumnSpec
from wave_jax.data.formats import (
    FASTTEXT_LABEL,
    Rows,
    read_delimited,
    read_fasttext,
    read_jsonl,
    read_parquet,
)
from wave_jax.data.streams import Errors, Input, existing, open_files, plain_suffix, reading
from wave_jax.data.table import Splits, Table, Where, clean_rows, encodable, remarks
from wave_jax.errors import UserError, listed

FORMATS = {
    ".csv": "csv",
    **dict.fromkeys((".tsv", ".tab"), "tsv"),
    **dict.fromkeys((".jsonl", ".ndjson", ".json"), "jsonl"),
    **dict.fromkeys((".parquet", ".pq"), "parquet"),
}
CLASSES = "classes.txt"
LABELS = "labels.json"
_ARCHIVES = (".tar", ".tgz", ".tar.gz", ".tar.bz2", ".tar.xz")
_STEMS = {"train": ("train",), "validation": ("validation", "valid", "dev"), "test": ("test",)}
_SHARD = re.compile(r"-\d+-of-\d+")
# Zhang et al. write a line break as a backslash and an n; AG News writes a bare backslash before
# the next word, which may begin with a small n.
_LINE_BREAK = re.compile(r"\\n(?![a-z])")


def read_source(path: Path, spec: ColumnSpec, errors: Errors) -> Splits:
    """Reads a folder, a tar archive or a single file.

    Raises:
      UserError: it cannot be read or used; the message names the row.
    """
    if path.is_dir() or path.name.lower().endswith(_ARCHIVES):
        return read_folder(path, spec, errors)
    table = read_file(path, spec, errors)
    description = f"{path}: {len(table):,} rows{remarks(table)}"
    return Splits(path.name, description, {"train": table}, table.columns.classes)


def read_file(path: Path, spec: ColumnSpec, errors: Errors) -> Table:
    """Reads a csv, tsv, jsonl, json, parquet or fastText file, compressed or not.

    The format is determined by the suffix of the file, or else by its first bytes. Where
    classes.txt is beside it, a csv without a header line has the layout of Zhang et al. (2015).

    Raises:
      UserError: the file cannot be read or used; the message names the row.
    """
    classes = path.parent / CLASSES
    names = Input.file(classes) if classes.is_file() else None
    return _read(Input.file(existing(path)), names, spec, errors, zhang=names is not None)


def open_texts(path: Path, spec: ColumnSpec, errors: Errors) -> tuple[str, Iterator[str]]:
    """Opens a file for its texts alone, labelled or not.

    Returns:
      A description of the columns, and an iterator over the texts that reads the file as it goes;
      errors are raised when their row is reached.
    """
    spec = replace(spec, unlabelled="ignore")
    zhang = (path.parent / CLASSES).is_file()
    columns, rows = _open(Input.file(existing(path)), spec, errors, zhang=zhang)
    texts = (text for text, _ in clean_rows(rows, spec, errors))
    return str(columns), map(_unescape, texts) if columns.headerless else texts


def read_folder(place: Path, spec: ColumnSpec, errors: Errors) -> Splits:
    """Reads train.*, test.* and, if present, validation.* of a folder or tar archive.

    Splits may be in shards. A train.csv without a header line holds the class, counted from 1, and
    then columns of text; classes.txt names the classes, one per line. labels.json, a list, fixes
    their order.
    """
    tables = {}
    with open_files(place) as files:
        names = files.get(CLASSES)
        for split, stems in _STEMS.items():
            shards = [files[name] for name in _find(place, files, stems)]
            read = [_read(shard, names, spec, errors, zhang=True) for shard in shards]
            if read:
                tables[split] = _concatenate(read)
        order = _read_label_order(files[LABELS]) if LABELS in files else None
    if "train" not in tables:
        there = listed(list(files)) or "no files"
        raise UserError(f"{place} has no train.csv (or .tsv, .jsonl, .parquet); it holds {there}")
    sizes = ", ".join(f"{split} {len(table):,}" for split, table in tables.items())
    description = f"{place}: {sizes}{remarks(*tables.values())}"
    classes = order or tables["train"].columns.classes
    return Splits(place.resolve().name, description, tables, classes)


def _read(
    source: Input, names: Input | None, spec: ColumnSpec, errors: Errors, *, zhang: bool
) -> Table:
    """Reads a file whose classes, if it has the layout of Zhang et al., are named by `names`."""
    columns, rows = _open(source, spec, errors, zhang=zhang)
    table = Table.collect(source.name, columns, rows, spec, errors)
    if not columns.headerless:
        return table
    return _name_classes(table, None if names is None else _read_classes(names, errors))


def _open(source: Input, spec: ColumnSpec, errors: Errors, *, zhang: bool) -> tuple[Columns, Rows]:
    match FORMATS.get(plain_suffix(Path(source.name))) or _sniff(source):
        case "csv":
            return read_delimited(source, spec, errors, delimiter=",", zhang=zhang)
        case "tsv":
            return read_delimited(source, spec, errors, delimiter="\t", zhang=zhang)
        case "jsonl":
            return read_jsonl(source, spec, errors)
        case "parquet":
            return read_parquet(source, spec)
    return read_fasttext(source, errors)


def _sniff(source: Input) -> str:
    with reading(source.name), source.open() as stream:
        start = stream.read(4096).removeprefix(b"\xef\xbb\xbf").lstrip()
    signs = {FASTTEXT_LABEL.encode(): "fasttext", b"PAR1": "parquet", b"{": "jsonl"}
    for sign, kind in signs.items():
        if start.startswith(sign):
            return kind
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


def _name_classes(table: Table, classes: tuple[str, ...] | None) -> Table:
    """Replaces the class numbers of Zhang et al., counted from 1, by the names of classes.txt."""
    table = replace(table, texts=[_unescape(text) for text in table.texts])
    if classes is None:
        return table
    names = dict(zip(classes, classes, strict=True))
    names |= {str(i): name for i, name in enumerate(classes, 1)}
    for row, label in enumerate(table.labels, 1):
        if label not in names:
            raise UserError(
                f"{Where(table.origin, row)}: class {label}, but {CLASSES} names classes 1 to "
                f"{len(classes)}"
            )
    columns = replace(table.columns, classes=classes)
    return replace(table, labels=[names[label] for label in table.labels], columns=columns)


def _unescape(text: str) -> str:
    return _LINE_BREAK.sub("\n", text).strip() if "\\" in text else text


def _read_classes(source: Input, errors: Errors) -> tuple[str, ...]:
    with source.lines(errors, newline="") as stream:
        lines = [line.strip() for line in stream]
    names = tuple(encodable(n, errors, Where(source.name, i)) for i, n in enumerate(lines, 1) if n)
    if len(set(names)) < len(names):
        raise UserError(f"{source.name} names a class twice")
    return names


def _read_label_order(source: Input) -> tuple[str, ...]:
    with reading(source.name), source.open() as stream:
        try:
            names = json.loads(stream.read())
        except (ValueError, RecursionError) as error:
            raise UserError(f"{source.name}: not valid JSON ({error})") from error
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise UserError(f"{source.name}: expected a list of class names")
    return tuple(names)
