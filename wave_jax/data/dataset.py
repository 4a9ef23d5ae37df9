"""From a configuration to a data set with training, validation and test splits."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Literal, get_args

import numpy as np

from wave_jax.data.config import HUB, TFDS, ColumnsConfig, DataConfig
from wave_jax.data.files import read_file, read_source
from wave_jax.data.layouts import LABELS
from wave_jax.data.sources.docstrings import read_docstrings
from wave_jax.data.streams import existing, user_path
from wave_jax.data.table import ColumnSpec, Table, class_names, folded, remarks
from wave_jax.errors import UserError, listed, nearest, nearest_path, shorten

DOCSTRINGS, MEMORY = "docstrings", "memory"  # the second of what `TextClassifier.save` writes
_REPEATS = 50  # of which one text is a repeat: more are said
_MOST_CLASSES = 12  # that a line lists
_FEW_ROWS = 20  # fewer rows may well have a different label each
# options that decide which rows are drawn, as equal texts stay on one side
_READING = (*vars(ColumnsConfig()), "label_column", "on_unlabelled", "errors")
SplitName = Literal["train", "validation", "test"]


@dataclass(frozen=True)
class Split:
    """Texts and their classes, int32 [texts]."""

    texts: Sequence[str]
    labels: np.ndarray

    def __len__(self) -> int:
        return len(self.texts)

    @classmethod
    def joined(cls, first: Split, second: Split) -> Split:
        """Returns the texts of both, one after the other."""
        labels = np.concatenate([first.labels, second.labels])
        return cls([*first.texts, *second.texts], labels)


def duplicates_between(train: Split, other: Split) -> int:
    """Counts the texts of `other` that, white space folded, are training texts too."""
    known = set(map(folded, train.texts))
    return sum(folded(text) in known for text in other.texts)


@dataclass(frozen=True)
class Dataset:
    """A source with its three splits, whose labels are indices into `label_names`.

    `snapshot`: the texts exist nowhere else as files, so that a run keeps them (`write_snapshot`).
    """

    label_names: tuple[str, ...]
    train: Split
    validation: Split
    test: Split
    description: str
    snapshot: bool = False

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 over classes, texts, labels and the splits, as hexadecimal digits."""
        digest = hashlib.sha256(repr(self.label_names).encode())
        for split in (self.train, self.validation, self.test):
            sizes = np.fromiter(map(len, split.texts), np.int64, len(split))
            digest.update(sizes.tobytes() + split.labels.astype("<i4").tobytes())
            for text in split.texts:
                digest.update(text.encode())
        return digest.hexdigest()

    @cached_property
    def notes(self) -> tuple[str, ...]:
        """Lines on what the user should know: the classes, and texts that two splits share."""
        lines, known, known_as = [describe_classes(self)], self.train, "training"
        for name, split in (("validation", self.validation), ("test", self.test)):
            if count := duplicates_between(known, split):
                lines.append(
                    f"{count:,} of {len(split):,} {name} texts are also {known_as} texts: the "
                    f"{name} is easier by as much"
                )
            known, known_as = Split.joined(known, split), "training or validation"  # for a refit
        learned = Split.joined(self.train, self.validation)
        rows = list(zip(map(folded, learned.texts), learned.labels.tolist(), strict=True))
        distinct = {text for text, _ in rows}
        repeats, clashes = len(rows) - len(distinct), len(set(rows)) - len(distinct)
        if repeats * _REPEATS >= len(rows) or clashes:
            what = f"{repeats:,} of {len(rows):,} training and validation texts repeat another one"
            lines.append(f"{what}, {clashes:,} with another label: a split keeps them together")
        return tuple(lines)


def describe_classes(dataset: Dataset) -> str:
    """Returns one line with the number of texts of each class, over all splits."""
    names, splits = dataset.label_names, (dataset.train, dataset.validation, dataset.test)
    labels = np.concatenate([split.labels for split in splits])
    counts = np.bincount(labels, minlength=len(names))
    order = np.argsort(-counts, kind="stable")
    shown = ", ".join(f"{shorten(names[i])} {counts[i]:,}" for i in order[:_MOST_CLASSES])
    more = len(names) - _MOST_CLASSES
    return f"{len(names)} classes: {shown}" + (f" and {more:,} more" if more > 0 else "")


def load_dataset(config: DataConfig) -> Dataset:
    """Reads `config.source` and draws the splits that it lacks from its training rows.

    Duplicates are kept, except in 'docstrings', but no draw parts them. Raises UserError where the
    source cannot be read or used: one line that says where and what to do.
    """
    source, description = _read(config)
    given = [source[name] for name in ("train", "validation") if name in source]
    found = class_names(label for table in given for label in table.labels)
    _check_labels(source["train"], found)
    tables, names = complete_splits(source, config), source["train"].classes or found
    train, validation, test = (
        Split(tables[name].texts, tables[name].label_indices(names)) for name in get_args(SplitName)
    )
    learned = set(train.labels.tolist())
    if len(learned) < 2:
        raise UserError(
            f"{source['train'].origin}: after splitting, all {len(train):,} training texts have "
            "one label; give more rows, or another --data.split-seed"
        )
    unknown = set(test.labels.tolist()) - learned - set(validation.labels.tolist())
    if "test" in source and unknown:
        raise UserError(
            f"{source['test'].origin}: the test split has the label {names[min(unknown)]!r}, "
            "which no training text has"
        )
    return Dataset(names, train, validation, test, description, config.source == DOCSTRINGS)


def load_split(
    config: DataConfig,
    split: SplitName,
    label_names: tuple[str, ...],
    *,
    trained_on: DataConfig | None = None,
) -> Split:
    """Reads one split of a source for a model that knows `label_names`.

    Where `trained_on`, the configuration of the training, names the same source, the training's
    splits are kept. Another source without splits of its own is returned as a whole.

    Raises UserError as `load_dataset` does, and where a label is none of `label_names`.
    """
    trained_on = trained_on or config
    same = user_path(config.source).resolve() == user_path(trained_on.source).resolve()
    if same and split != "test":  # a test file given now replaces the test split alone
        config = replace(config, test=trained_on.test)
    tables, _ = _read(config, grouped=same)
    changed = [name for name in _READING if getattr(config, name) != getattr(trained_on, name)]
    if same and split not in tables and changed:
        raise UserError(
            f"the {split} split was drawn as the training read {config.source}: leave out "
            f"--data.{changed[0].replace('_', '-')}, or give texts of their own with --data.source"
        )
    whole = not same and len(tables) == 1
    table = tables["train"] if whole else complete_splits(tables, config)[split]
    return Split(table.texts, table.label_indices(label_names))


def complete_splits(tables: dict[str, Table], config: DataConfig) -> dict[str, Table]:
    """Draws the splits that are missing from the training rows: test, then validation.

    The draw depends on the rows, the fractions and the seed alone, see `Table.split`. With
    `test_fraction` 0 a test split that is missing is empty.
    """
    tables = dict(tables)
    for name, stream in (("test", 1), ("validation", 2)):  # independent random streams of a seed
        if name in tables:
            continue
        fraction: float = getattr(config, f"{name}_fraction")
        if name == "test" and fraction == 0:
            tables[name] = replace(tables["train"], texts=[], labels=[], groups=None)
            continue
        if not 0 < fraction < 1:
            raise UserError(f"--data.{name}-fraction is {fraction}, expected between 0 and 1")
        if config.split_seed < 0:
            raise UserError(f"--data.split-seed is {config.split_seed}, expected 0 or more")
        seed = (config.split_seed, stream)
        tables["train"], tables[name] = tables["train"].split(fraction, seed)
    return tables


def write_snapshot(dataset: Dataset, folder: Path) -> None:
    """Writes train.jsonl, validation.jsonl, test.jsonl and labels.json: a source in itself.

    Each file appears whole or not at all; labels.json comes last and so marks a complete snapshot.
    """
    folder.mkdir(parents=True, exist_ok=True)
    names = dataset.label_names
    for name in get_args(SplitName):
        split: Split = getattr(dataset, name)
        if not len(split):  # no test split: an empty file would not be read
            continue
        rows = zip(split.texts, split.labels.tolist(), strict=True)
        _write_json(folder / f"{name}.jsonl", *({"text": t, "label": names[i]} for t, i in rows))
    _write_json(folder / LABELS, names)


def _read(config: DataConfig, grouped: bool = True) -> tuple[dict[str, Table], str]:
    """Returns the splits that the source has, 'train' among them, and a description.

    `grouped`: whether groups matter; else their column may be missing.
    """
    names, group = (config.text_columns, config.label_column, config.columns), config.group_column
    spec = ColumnSpec(
        *names, config.on_unlabelled, config.errors, group=group if grouped else None,
        ignored=group, delimiter=config.delimiter, encoding=config.encoding,
    )  # fmt: skip
    if spec.group is not None and (config.source == DOCSTRINGS or config.source.startswith(TFDS)):
        raise UserError(
            f"--data.group-column {group}: the source {config.source!r} has no such column; leave "
            "it out, or give a csv, tsv, jsonl or parquet file"
        )
    if config.source == DOCSTRINGS:
        tables, description = read_docstrings()
    elif config.source.startswith(TFDS):
        from wave_jax.data.sources.tfds import read_tfds  # slow to import

        name = config.source.removeprefix(TFDS)
        tables, description = read_tfds(name, spec, config.tfds_dir, config.tfds_manual_dir)
    elif config.source.startswith(HUB):
        from wave_jax.data.sources.hub import read_hub  # slow to import

        tables, description = read_hub(config.source.removeprefix(HUB), spec)
    else:
        tables, description = read_source(_existing_source(config.source), spec)
    if config.test is not None:
        tables["test"] = test = read_file(user_path(config.test), replace(spec, group=None))
        notes = f"{len(test):,} rows{remarks(test, columns=False)}"
        description += f"; test from {config.test}: {notes}"
    return tables, description


def _existing_source(source: str) -> Path:
    if source == MEMORY:
        raise UserError("the network has no texts beside it: give some with --data.source")
    path = user_path(source)
    if not source or (not path.exists() and len(path.parts) < 3 and not path.suffix):
        known = (DOCSTRINGS, "tfds:ag_news_subset", "tfds:imdb_reviews")
        near = nearest(source, known) or nearest_path(path)
        expected = "'docstrings', 'tfds:NAME', 'hf:OWNER/NAME' or the path of a file or folder"
        raise UserError(f"no source {source!r}{near}; expected {expected} in {Path.cwd()}")
    return existing(path)


def _check_labels(train: Table, found: tuple[str, ...]) -> None:
    rows = len(train)
    if len(found) < 2:
        raise UserError(
            f"{train.origin}: all {rows:,} rows have the one label {found[0]!r}; "
            "a classifier needs at least two classes"
        )
    if rows >= _FEW_ROWS and len(found) > rows / 2:
        raise UserError(
            f"{train.origin}: {len(found):,} different labels in {rows:,} rows ({listed(found[:3])}"
            ", ...); is this the label column? Another is named with --data.label-column"
        )


def _write_json(path: Path, *values: object) -> None:
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    with partial.open("w", encoding="utf-8", newline="\n") as file:
        file.writelines(json.dumps(value, ensure_ascii=False) + "\n" for value in values)
    partial.replace(path)
