"""Options that say which texts to read and how to tokenize them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

TFDS, HUB = "tfds:", "hf:"  # how sources from elsewhere begin


@dataclass(frozen=True)
class ColumnsConfig:
    """How a table is read, and which of its columns hold the text."""

    text_columns: tuple[str, ...] = ()
    """Columns that hold the text, joined with a space; by default found by name ('text', ...)."""
    columns: tuple[str, ...] = ()
    """Names of all columns, in order, for a csv or tsv file without a header line."""
    delimiter: str | None = None
    """Character between the fields of a csv or tsv file, or 'tab'; by default a comma in .csv and a
    tab in .tsv. If it does not give the columns, what else of these, ';' and '|' does is taken."""
    encoding: str | None = None
    """Encoding of text without a byte order mark, such as cp1252 or latin-1 (default: UTF-8)."""


@dataclass(frozen=True)
class SourceConfig(ColumnsConfig):
    """Which texts to read."""

    source: str = "docstrings"
    """Where the texts come from: 'docstrings' (built in, offline), 'tfds:NAME' (TensorFlow
    Datasets, read without TensorFlow), 'hf:OWNER/NAME' (Hugging Face's hub or its cache; nothing of
    it is executed; with several data sets, hf:OWNER/NAME/FOLDER), or a path: a csv, tsv, jsonl,
    parquet or fastText ('__label__') file, or a folder, zip or tar archive. In these come first
    train.csv, test.csv, validation.csv (or others of these formats, or shards, such as
    data/train-00000-of-00002.parquet), with classes.txt; else .txt files, one for each text, in
    folders that are named for the classes (pos/1.txt, or train/pos/1.txt and test/pos/2.txt; those
    of 'unsup' are left out); else the only table, whatever its name."""
    test: str | None = None
    """A separate test file or folder; without it, a source that has no test split is split."""
    label_column: str | None = None
    """Column that holds the label; by default found by name ('label', ...)."""
    on_unlabelled: Literal["stop", "skip"] = "stop"
    """Rows whose label is empty: 'stop' names the row, 'skip' leaves such rows out and counts
    them."""
    errors: Literal["strict", "replace"] = "strict"
    """Bytes that do not fit: 'strict' stops and names the row, 'replace' substitutes U+FFFD."""
    max_length: int = 128
    """Maximum number of tokens of a text, [CLS] and [SEP] included; longer texts are truncated,
    and counted. N-grams and stems come on top."""
    tfds_dir: str | None = None
    """Folder of prepared TensorFlow Datasets (default: TFDS_DATA_DIR, else
    ~/tensorflow_datasets)."""
    tfds_manual_dir: str | None = None
    """Folder of manually downloaded archives, for data sets that need them: tfds:dbpedia14 looks
    there for dbpedia_csv.tar.gz (default: downloads/manual in the TFDS folder)."""


@dataclass(frozen=True)
class DataConfig(SourceConfig):
    """Which texts to learn from, and how to tokenize them."""

    validation_fraction: float = 0.2
    """Fraction of the training split held out for validation (the papers: 0.2)."""
    test_fraction: float = 0.2
    """Fraction of all rows held out for the test, where the source has no test split; 0 learns from
    all of them and tests nothing."""
    group_column: str | None = None
    """Column that names a row's group (film, sentence, customer): the rows of a group stay on one
    side of every split."""
    split_seed: int = 0
    """Seed of the random splits; independent of --seed, so that runs can be compared."""
    vocab: str | None = None
    """A ready vocabulary, vocab.txt or tokenizer.json; by default one is learned from the
    training split (for a refit from the validation split, too)."""
    vocab_size: int = 30_522
    """Maximum size of a learned vocabulary."""
    ngrams: int = 1
    """Longest run of words that is a token of its own: 2 adds the pairs of neighbouring words that
    at least two training texts have."""
    stems: tuple[int, ...] = ()
    """Numbers of letters: a longer word's first letters are a token, too, where at least two
    training texts have them."""
    lowercase: bool = True
    """Lowercase the texts and strip accents before tokenizing."""
    cache_dir: str | None = None
    """Folder that caches tokenized texts, shared by runs (default: wave_jax in the user's cache
    folder)."""

    @property
    def has_ngrams(self) -> bool:
        """Whether n-grams or stems are tokens."""
        return self.ngrams != 1 or bool(self.stems)
