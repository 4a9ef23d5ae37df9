"""The texts of the experiments: a source, cut down to the scale, kept in the folder of the work."""

from __future__ import annotations

import dataclasses
import os
import re
from pathlib import Path
from typing import Any

import numpy as np

from wave_jax.data.config import DataConfig
from wave_jax.data.dataset import TFDS, Dataset, Split, load_dataset, write_snapshot
from wave_jax.data.files import FORMATS
from wave_jax.data.streams import COMPRESSED, user_path
from wave_jax.errors import UserError
from wave_jax.experiments.scale import Scale

# Usual names of the papers' data sets, as files, folders, archives and in TensorFlow Datasets.
_PAPERS = {
    **dict.fromkeys(("ag_news", "ag_news_csv", "ag_news_subset"), "AG News"),
    **dict.fromkeys(("dbpedia", "dbpedia14", "dbpedia_14", "dbpedia_csv"), "DBpedia14"),
    **dict.fromkeys(("imdb", "imdb_reviews", "imdb_train", "imdb_reviews/plain_text"), "IMDB"),
    **dict.fromkeys(("sst2", "glue/sst2"), "SST-2"),
}
_SUFFIXES = {*FORMATS, *COMPRESSED, ".txt", ".tar", ".tgz"}
_LONGEST_SLUG = 60


@dataclasses.dataclass(frozen=True)
class PreparedSource:
    """Texts in use; everything but `folder` goes into the records.

    Attributes:
        name: the papers' name where they use it, else the source's own.
        source: the source's last part: where it lies on a machine is nobody's business.
        fingerprint: SHA-256 over classes, texts, labels and the cut.
        train, validation, test: texts of each part.
        classes: number of classes.
        majority: share of the test texts that have the most frequent class.
        sentences: whether any training text has an end of a sentence: '.', '!' or '?'.
        folder: where the texts lie, '' where only drawing is asked for.
    """

    name: str
    source: str
    fingerprint: str
    train: int
    validation: int
    test: int
    classes: int
    majority: float
    sentences: bool
    folder: str = ""

    @property
    def slug(self) -> str:
        """The name in the form of a file's."""
        return re.sub(r"[^\w.-]+", "-", self.name.lower(), flags=re.ASCII)[:_LONGEST_SLUG]

    def about(self) -> dict[str, Any]:
        """Returns what the records keep."""
        facts = dataclasses.asdict(self)
        del facts["folder"]
        return facts


def prepare_source(source: str, scale: Scale, work: Path) -> PreparedSource:
    """Reads a source, cuts it down to the scale and keeps the texts under `work`.

    Which texts are kept depends on nothing but the texts.

    Raises:
        UserError: as `load_dataset`, or the texts cannot be kept there.
    """
    corpus = _cut_down(load_dataset(DataConfig(source=source)), scale)
    short = _last_part(source)
    folder = work / "data" / corpus.fingerprint[:12]
    if not (folder / "labels.json").is_file():
        try:
            write_snapshot(corpus, folder)
        except OSError as error:
            raise UserError(f"{folder} cannot be written: {error.strerror}") from error
    return PreparedSource(
        name=papers_name(short) or short,
        source=short,
        fingerprint=corpus.fingerprint,
        train=len(corpus.train),
        validation=len(corpus.validation),
        test=len(corpus.test),
        classes=len(corpus.label_names),
        majority=float(np.bincount(corpus.test.labels).max() / len(corpus.test)),
        sentences=any(end in text for text in corpus.train.texts for end in ".!?"),
        folder=str(folder),
    )


def papers_name(source: str) -> str | None:
    """Returns what the papers call a source, by its whole name: texts like them are not theirs.

    >>> papers_name("ag_news.csv.gz"), papers_name("tfds:glue/sst2:2.0.0")
    ('AG News', 'SST-2')
    >>> papers_name("my_imdb_like.csv") is None
    True
    """
    if source.startswith(TFDS):
        return _PAPERS.get(source.removeprefix(TFDS).split(":")[0])
    name = source.lower()
    while (suffix := Path(name).suffix) in _SUFFIXES:
        name = name.removesuffix(suffix)
    return _PAPERS.get(name)


def _last_part(source: str) -> str:
    """Returns the name of a file or folder, of '.' and '..' too."""
    if source.startswith(TFDS):
        return source
    return os.path.basename(os.path.abspath(user_path(source))) or source


def _cut_down(corpus: Dataset, scale: Scale) -> Dataset:
    learning = len(corpus.train) + len(corpus.validation)
    share = 1.0 if scale.texts is None else min(1.0, scale.texts / learning)
    test = len(corpus.test) if scale.test_texts is None else scale.test_texts
    return dataclasses.replace(
        corpus,
        train=_some(corpus.train, round(share * len(corpus.train))),
        validation=_some(corpus.validation, round(share * len(corpus.validation))),
        test=_some(corpus.test, test),
    )


def _some(split: Split, count: int) -> Split:
    if count >= len(split):
        return split
    chosen = np.sort(np.random.default_rng(0).permutation(len(split))[:count])
    return Split([split.texts[i] for i in chosen], split.labels[chosen])
