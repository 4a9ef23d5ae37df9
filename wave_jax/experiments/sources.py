"""The texts of the experiments: a sample of a source, kept on disk."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from wave_jax.data.config import DataConfig
from wave_jax.data.dataset import HUB, TFDS, Dataset, Split, load_dataset, write_snapshot
from wave_jax.data.formats import FORMATS
from wave_jax.data.layouts import LABELS
from wave_jax.data.streams import COMPRESSED, user_path
from wave_jax.errors import UserError

# Usual names of the papers' data sets, as files, folders, archives and in TensorFlow Datasets.
_PAPERS = {
    **dict.fromkeys(("ag_news", "ag_news_csv", "ag_news_subset"), "AG News"),
    **dict.fromkeys(("dbpedia", "dbpedia14", "dbpedia_14", "dbpedia_csv"), "DBpedia14"),
    **dict.fromkeys(("imdb", "imdb_reviews", "imdb_train", "imdb_reviews/plain_text"), "IMDB"),
    **dict.fromkeys(("sst2", "glue/sst2"), "SST-2"),
}
_SUFFIXES = {*FORMATS, *COMPRESSED, ".txt", ".tar", ".tgz"}


@dataclass(frozen=True)
class PreparedSource:
    """The texts in use; everything but `folder` goes into the records."""

    name: str  # the papers' name for a source of theirs, else `source`
    source: str  # without the path to it, which is private
    fingerprint: str  # SHA-256 of classes, texts, labels and splits
    train: int
    validation: int
    test: int
    classes: int
    majority: float  # share of the test texts in the most frequent class
    sentences: bool  # whether any training text has an end of a sentence
    options: str = ""  # what followed the source in `--data`, without paths: ",test=dev.csv"
    folder: str = ""  # where the texts are; '' when only drawing

    @property
    def slug(self) -> str:
        """The name in a form fit for file names."""
        return re.sub(r"[^\w.-]+", "-", self.name.lower(), flags=re.ASCII)[:60]

    def about(self) -> dict[str, Any]:
        """Returns what the records keep."""
        return {name: value for name, value in asdict(self).items() if name != "folder"}


def prepare_source(
    source: str,
    work: Path,
    texts: int | None = None,
    test_texts: int | None = None,
    change: Callable[[Dataset], Dataset] = lambda dataset: dataset,
    note: str = "",
) -> PreparedSource:
    """Reads a source as `--data.source` does, and keeps a fixed sample of it under `work`.

    At most `texts` for training and validation together, and `test_texts` for testing. The source
    may name a test file and a column of groups, as in 'train.csv,test=test.csv,group=film'. What
    `change` makes of the sample is kept instead, under the name with `note` after it.
    """
    source, *options = re.split(r",(?=(?:test|group)=)", source)
    given = dict(option.split("=", 1) for option in options)
    config = DataConfig(source=source, test=given.get("test"), group_column=given.get("group"))
    dataset = change(_sampled(load_dataset(config), texts, test_texts))
    folder = work / "data" / dataset.fingerprint[:12]
    if not (folder / LABELS).is_file():
        try:
            write_snapshot(dataset, folder)
        except OSError as error:
            raise UserError(f"{folder} cannot be written: {error.strerror}") from error
    path = user_path(source)
    if not source.startswith((TFDS, HUB)):  # the name of '.' and '..' too
        source = os.path.basename(os.path.abspath(path)) or source
    beside = path.resolve().parent.name if path.is_file() else ""  # imdb/train.parquet
    name = paper_name(source) or paper_name(beside) or source
    return PreparedSource(
        name=name + note,
        source=source,
        fingerprint=dataset.fingerprint,
        train=len(dataset.train),
        validation=len(dataset.validation),
        test=len(dataset.test),
        classes=len(dataset.label_names),
        majority=float(np.bincount(dataset.test.labels).max() / len(dataset.test)),
        sentences=any(end in text for text in dataset.train.texts for end in ".!?"),
        options="".join(f",{key}={os.path.basename(value)}" for key, value in given.items()),
        folder=str(folder),
    )


def paper_name(source: str) -> str | None:
    """Returns the papers' name for a source, matching all of it: 'my_imdb' is not IMDB.

    >>> paper_name("ag_news.csv.gz"), paper_name("tfds:glue/sst2:2.0.0"), paper_name("my_imdb.csv")
    ('AG News', 'SST-2', None)
    """
    if source.startswith(TFDS):
        return _PAPERS.get(source.removeprefix(TFDS).split(":")[0])
    name = source.lower()
    while (suffix := Path(name).suffix) in _SUFFIXES:
        name = name.removesuffix(suffix)
    return _PAPERS.get(name)


def _sampled(dataset: Dataset, texts: int | None, test_texts: int | None) -> Dataset:
    def sample(split: Split, count: int | None) -> Split:
        chosen = np.sort(np.random.default_rng(0).permutation(len(split))[:count])
        return Split([split.texts[i] for i in chosen], split.labels[chosen])

    train, validation = dataset.train, dataset.validation
    share = 1.0 if texts is None else texts / (len(train) + len(validation))
    train, validation = (sample(part, round(share * len(part))) for part in (train, validation))
    test = sample(dataset.test, test_texts)
    return replace(dataset, train=train, validation=validation, test=test)
