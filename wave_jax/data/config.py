"""Which texts to learn from, and how they become tokens."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class ColumnsConfig:
    """Which columns of a table hold the text."""

    text_columns: tuple[str, ...] = ()
    """Columns that hold the text, joined with a space; by default found by name ('text', ...)."""
    columns: tuple[str, ...] = ()
    """Names of all columns, in order, for a csv or tsv file without a header line."""


@dataclass(frozen=True)
class SourceConfig(ColumnsConfig):
    """Which texts to read."""

    source: str = "docstrings"
    """Where the texts come from: 'docstrings' (embedded, offline), 'tfds:NAME' (TensorFlow
    Datasets, read without TensorFlow), or a path: a folder with train.csv, test.csv and
    classes.txt, or a csv, tsv, jsonl, parquet or fastText ('__label__') file."""
    test: str | None = None
    """A separate test file; without it a source that has no test part gives up some of its
    rows."""
    label_column: str | None = None
    """Column that holds the label; by default found by name ('label', ...)."""
    on_unlabelled: Literal["stop", "skip"] = "stop"
    """Rows whose label is empty: 'stop' names the row, 'skip' leaves them out and counts them."""
    errors: Literal["strict", "replace"] = "strict"
    """Bytes that are not UTF-8: 'strict' stops and names the row, 'replace' puts U+FFFD in."""
    max_length: int = 128
    """Most pieces of a text, [CLS] and [SEP] included; longer ones are cut, and counted."""
    tfds_dir: str | None = None
    """Folder of prepared TensorFlow Datasets (default: TFDS_DATA_DIR, else
    ~/tensorflow_datasets)."""
    tfds_manual_dir: str | None = None
    """Folder of archives fetched by hand, for data sets that ask for them: tfds:dbpedia14 looks
    there for dbpedia_csv.tar.gz (default: downloads/manual in the TFDS folder)."""


@dataclass(frozen=True)
class DataConfig(SourceConfig):
    """Which texts to learn from, and how they become tokens."""

    validation_fraction: float = 0.2
    """Share of the training part kept for validation (the papers: 0.2)."""
    test_fraction: float = 0.2
    """Share of all rows kept for the test, where the source has no test part."""
    split_seed: int = 0
    """Seed of the cut into parts: the same for every --seed, so that runs can be compared."""
    vocab: str | None = None
    """A ready vocabulary, vocab.txt or tokenizer.json; by default one is trained on the
    training part."""
    vocab_size: int = 30_522
    """Most pieces of a trained vocabulary."""
    lowercase: bool = True
    """Fold case and strip accents before the pieces are made."""
    cache_dir: str | None = None
    """Folder for tokenised texts, shared by runs (default: wave_jax in the user's cache folder)."""
