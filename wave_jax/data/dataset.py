"""The parts of a source, and the deterministic cut of those that it lacks."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Literal, get_args

import numpy as np

from wave_jax.data.columns import ColumnSpec
from wave_jax.data.config import DataConfig
from wave_jax.data.docstrings import read_docstrings
from wave_jax.data.folder import LABELS, is_archive, read_archive, read_folder, read_member
from wave_jax.data.rows import Rows, class_names, label_indices, told
from wave_jax.data.splits import Splits, cut
from wave_jax.data.streams import existing, user_path
from wave_jax.errors import UserError, listed, nearest, nearest_path

DOCSTRINGS = "docstrings"
TFDS = "tfds:"
_FEW_ROWS = 20  # below, a label may well be there once
SplitName = Literal["train", "validation", "test"]


@dataclass(frozen=True)
class Split:
    """Texts and their classes, int32 [N]."""

    texts: Sequence[str]
    labels: np.ndarray

    def __len__(self) -> int:
        return len(self.texts)


@dataclass(frozen=True)
class Dataset:
    """A source cut into parts; `labels` of its splits are places in `label_names`.

    `snapshot` says that the texts live nowhere else as files, so that a run should keep them with
    `write_snapshot`.
    """

    name: str
    label_names: tuple[str, ...]
    train: Split
    validation: Split
    test: Split
    description: str
    snapshot: bool = False

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 over classes, texts, labels and the cut, as hexadecimal digits."""
        digest = hashlib.sha256(repr(self.label_names).encode())
        for split in (self.train, self.validation, self.test):
            sizes = np.fromiter(map(len, split.texts), np.int64, len(split))
            digest.update(sizes.tobytes() + split.labels.astype("<i4").tobytes())
            for text in split.texts:
                digest.update(text.encode())
        return digest.hexdigest()


def load_dataset(config: DataConfig) -> Dataset:
    """Reads `config.source` and cuts from it the parts that it lacks.

    The cut depends on the rows' number, the fractions and `split_seed` alone. Exact duplicates are
    left where they are, except in the 'docstrings' corpus.

    Raises:
      UserError: the source cannot be read or used; one line says where and what to do.
    """
    whole = _read(config)
    names = whole.names or whole.train.names or class_names(_training_labels(whole))
    _check_classes(whole)
    parts = _cut(whole, config)
    assert parts.validation is not None
    assert parts.test is not None
    corpus = Dataset(
        name=parts.name,
        label_names=names,
        train=_as_split(parts.train, names),
        validation=_as_split(parts.validation, names),
        test=_as_split(parts.test, names),
        description=parts.description,
        snapshot=config.source == DOCSTRINGS,
    )
    _check_parts(corpus, own_test=whole.test is not None)
    return corpus


def load_split(
    config: DataConfig,
    split: str,
    label_names: tuple[str, ...],
    *,
    trained_on: DataConfig | None = None,
) -> Split:
    """Reads one part of a source for a model that knows `label_names`.

    Where `trained_on`, the training's own configuration, names the same source, the cut is the
    training's; another source that has no parts is the split as a whole.

    Raises:
      UserError: as `load_dataset`, and where a label is none of `label_names`.
    """
    if split not in get_args(SplitName):
        options = get_args(SplitName)
        raise UserError(f"no split {split!r}, expected one of {options}{nearest(split, options)}")
    same = trained_on is not None and _place(config.source) == _place(trained_on.source)
    if same and trained_on is not None:
        config = _with_cut_of(config, trained_on, split)
    parts = _read(config)
    if trained_on is None or same or not parts.is_whole:
        parts = _cut(parts, config)
        rows: Rows | None = getattr(parts, split)
        assert rows is not None
    else:
        rows = parts.train
    return _as_split(rows, label_names)


def _read(config: DataConfig) -> Splits:
    wanted = ColumnSpec(
        config.text_columns, config.label_column, config.columns, config.on_unlabelled
    )
    parts = _read_source(config, wanted)
    if config.test is None:
        return parts
    test = read_member(user_path(config.test), wanted, config.errors, zhang=False)
    skipped = told(replace(test, columns=""))
    description = f"{parts.description}; test from {config.test}: {len(test):,} rows{skipped}"
    return replace(parts, test=test, description=description)


def _read_source(config: DataConfig, wanted: ColumnSpec) -> Splits:
    if config.source == DOCSTRINGS:
        return read_docstrings()
    if config.source.startswith(TFDS):
        from wave_jax.data.hub import read_tfds  # tensorflow_datasets is heavy, and only used here

        name = config.source.removeprefix(TFDS)
        return read_tfds(
            name,
            wanted,
            config.errors,
            folder=config.tfds_dir,
            manual_folder=config.tfds_manual_dir,
        )
    path = _existing_source(config.source)
    if path.is_dir():
        return read_folder(path, wanted, config.errors)
    if is_archive(path):
        return read_archive(path, wanted, config.errors)
    rows = read_member(path, wanted, config.errors, zhang=False)
    description = f"{path}: {len(rows):,} rows{told(rows)}"
    return Splits(path.name, description, rows, names=rows.names)


def _existing_source(source: str) -> Path:
    path = user_path(source)
    if not source or (not path.exists() and path.name == source and not path.suffix):
        known = (DOCSTRINGS, "tfds:ag_news_subset", "tfds:imdb_reviews")
        near = nearest(source, known) or nearest_path(path)
        raise UserError(
            f"no source {source!r}{near}; expected 'docstrings', 'tfds:NAME' or the path of a "
            "file or folder"
        )
    return existing(path)


def _training_labels(parts: Splits) -> list[str]:
    validation = [] if parts.validation is None else parts.validation.labels
    return [*parts.train.labels, *validation]


def _check_classes(parts: Splits) -> None:
    found = set(_training_labels(parts))
    count = len(parts.train)
    if len(found) < 2:
        only = next(iter(found))
        raise UserError(
            f"{parts.train.origin}: all {count:,} rows have the one label {only!r}; "
            "a classifier needs two classes at least"
        )
    if count >= _FEW_ROWS and len(found) > count / 2:
        raise UserError(
            f"{parts.train.origin}: {len(found):,} different labels in {count:,} rows "
            f"({listed(class_names(found)[:3])}, ...); is this the label column? "
            "Another is named with --data.label-column"
        )


def _check_parts(corpus: Dataset, *, own_test: bool) -> None:
    learned = set(corpus.train.labels.tolist())
    if len(learned) < 2:
        raise UserError(
            f"{corpus.name}: after the cut all {len(corpus.train):,} training texts have one "
            "label; give more rows, or another --data.split-seed"
        )
    unknown = set(corpus.test.labels.tolist()) - learned - set(corpus.validation.labels.tolist())
    if own_test and unknown:
        raise UserError(
            f"{corpus.name}: the test part has the label "
            f"{corpus.label_names[min(unknown)]!r}, which no training text has"
        )


def _cut(parts: Splits, config: DataConfig) -> Splits:
    return cut(
        parts,
        validation_fraction=config.validation_fraction,
        test_fraction=config.test_fraction,
        seed=config.split_seed,
    )


def _with_cut_of(config: DataConfig, trained_on: DataConfig, split: str) -> DataConfig:
    """A test file given now replaces the test alone: the other parts stay the training's."""
    return replace(
        config,
        test=config.test if split == "test" else trained_on.test,
        validation_fraction=trained_on.validation_fraction,
        test_fraction=trained_on.test_fraction,
        split_seed=trained_on.split_seed,
    )


def _place(source: str) -> str:
    """Spells a path in one way, so that the same file is known again."""
    if source == DOCSTRINGS or source.startswith(TFDS):
        return source
    return str(user_path(source).resolve())


def _as_split(rows: Rows, names: Sequence[str]) -> Split:
    return Split(rows.texts, label_indices(rows, names))


if TYPE_CHECKING:
    from wave_jax.data.dataset import Dataset, Split


def write_snapshot(corpus: Dataset, folder: Path) -> None:
    """Writes train.jsonl, validation.jsonl, test.jsonl and labels.json to `folder`.

    The folder is itself a source (`--data.source FOLDER`) that gives the same corpus again. Each
    file appears whole or not at all; labels.json comes last, and so marks a complete snapshot.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for part in ("train", "validation", "test"):
        _write_file(
            folder / f"{part}.jsonl", _json_lines(getattr(corpus, part), corpus.label_names)
        )
    _write_file(folder / LABELS, json.dumps(list(corpus.label_names), ensure_ascii=False) + "\n")


def _json_lines(split: Split, names: tuple[str, ...]) -> str:
    rows = zip(split.texts, split.labels.tolist(), strict=True)
    return "".join(
        json.dumps({"text": text, "label": names[label]}, ensure_ascii=False) + "\n"
        for text, label in rows
    )


def _write_file(path: Path, text: str) -> None:
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    partial.write_text(text, encoding="utf-8", newline="\n")
    partial.replace(path)
