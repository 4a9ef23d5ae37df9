"""Training files of the data sets, and folds of them that do not leak."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np

from wave_jax.data.files import read_file
from wave_jax.data.streams import existing
from wave_jax.data.table import ColumnSpec, class_names

_SMALL = ("trec", "cr", "mpqa", "mr", "sst_sentences", "subj")
FILES = {name: f"bench/{name}.csv" for name in _SMALL} | {
    "ag_news": "ag_news_csv/train.csv",
    "sst2": "sst2/train.csv",
    "imdb": "imdb/train.parquet",
}


@dataclass(frozen=True)
class Texts:
    """Labelled texts; `groups` int [texts] has one number for texts that must not be parted."""

    texts: list[str]
    labels: np.ndarray  # indices of classes, int32 [texts]
    groups: np.ndarray
    tested: np.ndarray  # bool [texts]: others are only learned from
    related: bool = False  # groups join more than duplicates

    def take(self, rows: np.ndarray) -> Texts:
        """Returns some of the rows."""
        labels, groups, tested = (of[rows] for of in (self.labels, self.groups, self.tested))
        return Texts([self.texts[row] for row in rows], labels, groups, tested, self.related)


def read_texts(root: Path, name: str) -> Texts:
    """Reads the training file of a data set under `root`; UserError where it cannot be."""
    path = existing(root / FILES[name])
    table = read_file(path, ColumnSpec())
    folded = fold(table.texts)
    tested = np.ones(len(table), bool)
    together: list[Sequence[object]] = [folded]
    if name == "imdb":
        together.append(read_file(path, ColumnSpec(text=("movie",))).texts)
    elif name == "sst2":
        sentences = sentence_of(folded)
        together.append(sentences)
        tested = np.array([folded[i] == text for i, text in zip(sentences, folded, strict=True)])
    labels = table.label_indices(class_names(table.labels))
    return Texts(table.texts, labels, components(*together), tested, len(together) > 1)


def fold(texts: Sequence[str]) -> list[str]:
    """Returns the texts with each run of white space as one space, and none around."""
    return [" ".join(text.split()) for text in texts]


def sentence_of(texts: Sequence[str]) -> list[int]:
    """Returns for each text the first row of the first sentence that contains it.

    A sentence is a text that no other text contains, as a run of tokens; it contains itself.

    >>> sentence_of(["a film", "not a film", "film", "a filmed play", "film a"])
    [1, 1, 1, 3, 4]
    """
    first: dict[str, int] = {}
    for row, text in enumerate(texts):
        first.setdefault(text, row)
    sentences: dict[str, list[int]] = defaultdict(list)  # rows by token
    found: dict[str, int] = {}
    for text in sorted(first, key=lambda text: -len(text.split())):
        tokens = set(text.split())
        rows = min((sentences.get(token, []) for token in tokens), key=len, default=[])
        within = [row for row in rows if f" {text} " in f" {texts[row]} "]
        found[text] = min(within, default=first[text])
        if not within:
            for token in tokens:
                sentences[token].append(first[text])
    return [found[text] for text in texts]


def components(*keys: Sequence[object]) -> np.ndarray:
    """Returns the group of each row, int32 [rows]: rows that share any key are in one.

    >>> components(["a", "b", "a", "c"], [1, 2, 2, 3]).tolist()
    [0, 0, 0, 1]
    """
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    rows, nodes = len(keys[0]), dict[tuple[int, object], int]()
    pairs = [
        (row, nodes.setdefault((kind, key), rows + len(nodes)))
        for kind, column in enumerate(keys)
        for row, key in enumerate(column)
    ]
    size = rows + len(nodes)
    graph = coo_array((np.ones(len(pairs)), tuple(np.array(pairs).T)), shape=(size, size))
    return connected_components(graph, directed=False)[1][:rows]


@lru_cache(1)
def read_folds(root: Path, name: str, count: int) -> tuple[int, list[tuple[Texts, Texts]]]:
    """Returns the rows of a set, and of each fold what is learned from and what is tested on.

    Classes have about the same shares in each fold; a group is in one of them.
    """
    from sklearn.model_selection import StratifiedGroupKFold

    texts = read_texts(root, name)
    splitter = StratifiedGroupKFold(count, shuffle=True, random_state=0)
    rows = splitter.split(texts.labels, texts.labels, texts.groups)
    folds = [(texts.take(train), texts.take(test[texts.tested[test]])) for train, test in rows]
    return len(texts.texts), folds
