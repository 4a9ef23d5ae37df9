"""The texts of the experiments: a source, cut down to the scale, kept in the folder of the work."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np

from wave_jax.data.config import DataConfig
from wave_jax.data.corpus import Corpus, Split, load_corpus
from wave_jax.data.snapshot import write_snapshot
from wave_jax.experiments.scale import Scale

_PAPERS = {"ag_news": "AG News", "dbpedia": "DBpedia14", "imdb": "IMDB", "sst2": "SST-2"}


@dataclasses.dataclass(frozen=True)
class Dataset:
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
        return self.name.lower().replace(" ", "-")

    def about(self) -> dict[str, Any]:
        """Returns what the records keep."""
        facts = dataclasses.asdict(self)
        del facts["folder"]
        return facts


def prepare_dataset(source: str, scale: Scale, work: Path) -> Dataset:
    """Reads a source, cuts it down to the scale and keeps the texts under `work`.

    Which texts are kept depends on nothing but the texts. UserError as of `load_corpus`.
    """
    corpus = _cut_down(load_corpus(DataConfig(source=source)), scale)
    short = source if ":" in source else Path(source).name
    name = next((n for part, n in _PAPERS.items() if part in short.lower()), short)
    folder = work / "data" / corpus.fingerprint[:12]
    if not (folder / "labels.json").is_file():
        write_snapshot(corpus, folder)
    return Dataset(
        name=name,
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


def _cut_down(corpus: Corpus, scale: Scale) -> Corpus:
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
