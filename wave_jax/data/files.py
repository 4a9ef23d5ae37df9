"""Files, folders and archives of labelled texts, whatever their format."""

from __future__ import annotations

import json
import re
import tarfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path, PurePosixPath

from wave_jax.data.columns import Columns, ColumnSpec
from wave_jax.data.formats import (
    FASTTEXT_LABEL,
    Rows,
    read_delimited,
    read_fasttext,
    read_jsonl,
    read_parquet,
)
from wave_jax.data.streams import Errors, Input, existing, plain_suffix, reading
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
    if path.is_dir():
        return read_folder(path, spec, errors)
    if path.name.lower().endswith(_ARCHIVES):
        return read_archive(path, spec, errors)
    table = read_file(path, spec, errors)
    description = f"{path}: {len(table):,} rows{remarks(table)}"
    return Splits(path.name, description, {"train": table}, table.columns.classes)


def read_file(path: Path, spec: ColumnSpec, errors: Errors, *, zhang: bool = False) -> Table:
    """Reads a csv, tsv, jsonl, json, parquet or fastText file, compressed or not.

    Args:
      path: the file; its suffix, or else its first bytes, determine the format.
      spec: the columns asked for.
      errors: what to do with bytes that are not UTF-8.
      zhang: whether a csv without a header line has the layout of Zhang et al. (2015), which
        classes.txt beside it implies; that file names the classes.

    Raises:
      UserError: the file cannot be read or used; the message names the row.
    """
    columns, rows = _open(path, spec, errors, zhang=zhang)
    table = Table.collect(path.name, columns, rows, spec, errors)
    if not columns.headerless:
        return table
    classes = path.parent / CLASSES
    named = _read_classes(Input.file(classes), errors) if classes.is_file() else None
    return _name_classes(table, named)


def open_texts(path: Path, spec: ColumnSpec, errors: Errors) -> tuple[str, Iterator[str]]:
    """Opens a file for its texts alone, labelled or not.

    Returns:
      A description of the columns, and an iterator over the texts that reads the file as it goes;
      errors are raised when their row is reached.
    """
    spec = replace(spec, unlabelled="ignore")
    columns, rows = _open(path, spec, errors, zhang=False)
    texts = (text for text, _ in clean_rows(rows, spec, errors))
    return str(columns), map(_unescape, texts) if columns.headerless else texts


def read_folder(folder: Path, spec: ColumnSpec, errors: Errors) -> Splits:
    """Reads train.*, test.* and, if present, validation.* of a folder, or their shards.

    A train.csv without a header line holds the class, counted from 1, and then columns of text;
    classes.txt names the classes, one per line. labels.json, a list, fixes their order.
    """
    with reading(str(folder)):
        entries = sorted(folder.iterdir())
    tables = {}
    for split, stems in _STEMS.items():
        shards = [read_file(path, spec, errors, zhang=True) for path in _find(entries, stems)]
        if shards:
            tables[split] = _concatenate(shards)
    if "train" not in tables:
        there = listed([entry.name for entry in entries]) or "nothing"
        raise UserError(f"{folder} has no train.csv (or .tsv, .jsonl, .parquet); it holds {there}")
    classes = _read_label_order(folder / LABELS) or tables["train"].columns.classes
    return Splits(folder.resolve().name, _describe(folder, tables), tables, classes)


def read_archive(path: Path, spec: ColumnSpec, errors: Errors) -> Splits:
    """Reads a tar archive in the layout of Zhang et al. in place: nothing is extracted."""
    tables: dict[str, Table] = {}
    classes: tuple[str, ...] | None = None
    with reading(path.name), tarfile.open(path, "r:*") as archive:
        for member in archive:
            base = PurePosixPath(member.name).name
            if not member.isfile() or base not in ("train.csv", "test.csv", CLASSES):
                continue
            source = Input.member(archive, member, f"{path.name}/{base}")
            if base == CLASSES:
                classes = _read_classes(source, errors)
            else:
                columns, rows = read_delimited(source, spec, errors, delimiter=",", zhang=True)
                table = Table.collect(source.name, columns, rows, spec, errors)
                tables[base.removesuffix(".csv")] = table
    if "train" not in tables:
        raise UserError(f"{path.name} holds no train.csv; expected the layout of dbpedia_csv")
    tables = {split: _name_classes(table, classes) for split, table in tables.items()}
    return Splits(path.name, _describe(path, tables), tables, classes)


def _describe(place: Path, tables: dict[str, Table]) -> str:
    sizes = ", ".join(f"{split} {len(table):,}" for split, table in tables.items())
    return f"{place}: {sizes}{remarks(*tables.values())}"


def _open(path: Path, spec: ColumnSpec, errors: Errors, *, zhang: bool) -> tuple[Columns, Rows]:
    source = Input.file(existing(path))
    zhang = zhang or (path.parent / CLASSES).is_file()
    match FORMATS.get(plain_suffix(path)) or _sniff(source):
        case "csv":
            return read_delimited(source, spec, errors, delimiter=",", zhang=zhang)
        case "tsv":
            return read_delimited(source, spec, errors, delimiter="\t", zhang=zhang)
        case "jsonl":
            return read_jsonl(source, spec, errors)
        case "parquet":
            return read_parquet(path, spec)
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


def _find(entries: list[Path], stems: tuple[str, ...]) -> list[Path]:
    """Returns the file of a split, or its shards, such as train-00000-of-00002.parquet."""
    found = [
        entry
        for entry in entries
        if _SHARD.sub("", entry.name.split(".")[0].lower()) in stems
        and plain_suffix(entry) in FORMATS
        and entry.is_file()
    ]
    if len(found) > 1 and not all(_SHARD.search(entry.name) for entry in found):
        names = listed([entry.name for entry in found])
        raise UserError(f"{found[0].parent} holds several files for one split: {names}")
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


def _read_label_order(path: Path) -> tuple[str, ...] | None:
    if not path.is_file():
        return None
    with reading(str(path)):
        try:
            names = json.loads(path.read_bytes())
        except (ValueError, RecursionError) as error:
            raise UserError(f"{path}: not valid JSON ({error})") from error
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise UserError(f"{path}: expected a list of class names")
    return tuple(names)
