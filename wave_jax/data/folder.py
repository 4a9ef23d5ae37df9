"""A folder or tar archive with a file for each part, as in the data sets of Zhang et al. (2015)."""

from __future__ import annotations

import json
import re
import tarfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path, PurePosixPath

from wave_jax.data.columns import ColumnSpec
from wave_jax.data.delimited import open_delimited
from wave_jax.data.files import FORMATS, open_texts, read_file
from wave_jax.data.rows import Errors, Rows, Where, told
from wave_jax.data.splits import Splits
from wave_jax.data.streams import Input, existing, plain_suffix, reading
from wave_jax.errors import UserError, listed

CLASSES = "classes.txt"
LABELS = "labels.json"
ARCHIVES = (".tar", ".tgz", ".tar.gz", ".tar.bz2", ".tar.xz")
_STEMS = {"train": ("train",), "validation": ("validation", "valid", "dev"), "test": ("test",)}
_SHARD = re.compile(r"-\d+-of-\d+")
# Zhang et al. write a line break as a backslash and an n; AG News writes a bare backslash before
# the next word, which may begin with a small n.
_LINE_BREAK = re.compile(r"\\n(?![a-z])")


def read_folder(folder: Path, wanted: ColumnSpec, errors: Errors) -> Splits:
    """Reads train.*, test.* and, where there is one, validation.* of `folder`; or their shards.

    A train.csv without a header line holds the class, counted from 1, and then columns of text;
    classes.txt names the classes, one a line. labels.json, a list, fixes the order of the classes.
    """
    with reading(str(folder)):
        entries = sorted(folder.iterdir())
    rows = {
        part: _joined([read_member(path, wanted, errors) for path in paths])
        for part, stems in _STEMS.items()
        if (paths := _find(folder, entries, stems))
    }
    if "train" not in rows:
        there = listed([entry.name for entry in entries]) or "nothing"
        raise UserError(f"{folder} has no train.csv (or .tsv, .jsonl, .parquet); it holds {there}")
    return Splits(
        name=folder.resolve().name,
        description=f"{folder}: {_sizes(rows)}{told(*rows.values())}",
        train=rows["train"],
        validation=rows.get("validation"),
        test=rows.get("test"),
        names=_label_order(folder) or rows["train"].names,
    )


def read_member(path: Path, wanted: ColumnSpec, errors: Errors, *, zhang: bool = True) -> Rows:
    """Reads one file of such a folder; classes.txt beside it names its classes.

    With `zhang` False that layout is taken only where classes.txt is there to show it.
    """
    classes = existing(path).parent / CLASSES
    has_classes = classes.is_file()
    rows = read_file(path, wanted, errors, zhang=zhang or has_classes)
    if not rows.zhang:
        return rows
    return _named(rows, _class_lines(Input.file(classes), errors) if has_classes else None)


def open_member_texts(path: Path, wanted: ColumnSpec, errors: Errors) -> tuple[str, Iterator[str]]:
    """Opens one file for its texts alone, read as `read_member` does with `zhang` False.

    Returns:
      which columns are read, in words, and the texts, in memory that does not grow with the file.
    """
    zhang = (existing(path).parent / CLASSES).is_file()
    table = open_texts(path, wanted, errors, zhang=zhang)
    texts = (row.text for row in table.rows)
    return table.columns, map(_unescaped, texts) if table.zhang else texts


def is_archive(path: Path) -> bool:
    """Returns whether the name of `path` is that of a tar archive.

    >>> is_archive(Path("dbpedia_csv.tar.gz")), is_archive(Path("train.csv.gz"))
    (True, False)
    """
    return path.name.lower().endswith(ARCHIVES)


def read_archive(path: Path, wanted: ColumnSpec, errors: Errors) -> Splits:
    """Reads an original archive, such as dbpedia_csv.tar.gz, in place: nothing is extracted."""
    existing(path)
    rows: dict[str, Rows] = {}
    names: tuple[str, ...] | None = None
    with reading(path.name), tarfile.open(path, "r:*") as archive:
        for member in archive:
            base = PurePosixPath(member.name).name
            if not member.isfile() or base not in ("train.csv", "test.csv", CLASSES):
                continue
            source = Input.member(archive, member, f"{path.name}/{base}")
            if base == CLASSES:
                names = _class_lines(source, errors)
            else:
                part = base.removesuffix(".csv")
                table = open_delimited(source, wanted, errors, delimiter=",", zhang=True)
                rows[part] = table.collect()
    if "train" not in rows:
        raise UserError(f"{path.name} holds no train.csv; expected the layout of dbpedia_csv")
    rows = {part: _named(found, names) for part, found in rows.items()}
    description = f"{path}: {_sizes(rows)}{told(*rows.values())}"
    return Splits(path.name, description, rows["train"], test=rows.get("test"), names=names)


def _find(folder: Path, entries: list[Path], stems: tuple[str, ...]) -> list[Path]:
    """Returns the file of a part, or its shards, such as train-00000-of-00002.parquet."""
    found = [
        entry
        for entry in entries
        if entry.is_file()
        and _SHARD.sub("", entry.name.split(".")[0].lower()) in stems
        and plain_suffix(entry) in FORMATS
    ]
    if len(found) > 1 and not all(_SHARD.search(entry.name) for entry in found):
        names = listed([entry.name for entry in found])
        raise UserError(f"{folder} holds several files for one part: {names}")
    return found


def _joined(shards: list[Rows]) -> Rows:
    first, *others = shards
    for shard in others:
        first.texts.extend(shard.texts)
        first.labels.extend(shard.labels)
    return replace(first, skipped=sum(shard.skipped for shard in shards))


def _named(rows: Rows, names: tuple[str, ...] | None) -> Rows:
    """Gives the classes of the Zhang layout, counted from 1, the names of classes.txt."""
    texts = [_unescaped(text) for text in rows.texts]
    if names is None:
        return replace(rows, texts=texts)
    by_number = {name: name for name in names} | {str(i): name for i, name in enumerate(names, 1)}
    try:
        labels = [by_number[label] for label in rows.labels]
    except KeyError as error:
        number = str(error.args[0])
        where = Where(rows.origin, rows.labels.index(number) + 1)
        raise UserError(
            f"{where}: class {number}, but {CLASSES} names classes 1 to {len(names)}"
        ) from None
    return replace(rows, texts=texts, labels=labels, names=names)


def _unescaped(text: str) -> str:
    return _LINE_BREAK.sub("\n", text).strip() if "\\" in text else text


def _class_lines(source: Input, errors: Errors) -> tuple[str, ...]:
    with source.lines(errors, newline="") as stream:
        names = tuple(line.strip() for line in stream if line.strip())
    if len(set(names)) < len(names):
        raise UserError(f"{source.name} names a class twice")
    return names


def _label_order(folder: Path) -> tuple[str, ...] | None:
    path = folder / LABELS
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


def _sizes(rows: dict[str, Rows]) -> str:
    return ", ".join(f"{part} {len(found):,}" for part, found in rows.items())
