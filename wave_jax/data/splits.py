"""Random splits: stratified by label, with equal texts and the rows of a group on one side."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence

import numpy as np


def folded(text: str) -> str:
    """Returns the text with one space for each run of white space: equal ones are duplicates."""
    return " ".join(text.split())


def components(texts: Sequence[str], groups: Sequence[str | None] | None = None) -> np.ndarray:
    """Numbers the sets of rows that stay together, int64 [rows]: those of equal texts or groups.

    >>> components(["a b", "c", "a  b", "d"], ["x", "y", "y", None]).tolist()
    [0, 0, 0, 1]
    """
    parts = _numbered(map(folded, texts))
    if groups is None:
        return parts
    from scipy.sparse import coo_array  # slow to import
    from scipy.sparse.csgraph import connected_components

    count = len(texts)
    named = (row if group is None else group for row, group in enumerate(groups))
    edges = (np.ones(count), (parts, count + _numbered(named)))
    _, found = connected_components(coo_array(edges, shape=(2 * count, 2 * count)), directed=False)
    return _numbered(found[parts].tolist())


def draw(
    labels: np.ndarray, parts: np.ndarray, fraction: float, seed: int | tuple[int, ...]
) -> np.ndarray:
    """Draws about a fraction of the rows, bool [rows]: whole `parts`, about as much of each label.

    Of a label, parts are drawn in random order as far as they bring its rows closer to its quota;
    a part has the label of its first row. At least one part is drawn, and one of each label stays.

    Args:
      labels: int [rows].
      parts: int [rows], as `components` numbers them, at least two.
    """
    _, first, sizes = np.unique(parts, return_index=True, return_counts=True)
    owners, count = labels[first], len(labels)
    total = min(max(round(fraction * count), 1), count - 1)
    rows = np.bincount(owners, sizes).astype(np.int64)
    quotas = _quotas(rows, np.bincount(owners) > 1, total)
    generator, drawn = np.random.default_rng(seed), np.zeros(len(sizes), bool)
    for label in np.flatnonzero(quotas):
        order = generator.permutation(np.flatnonzero(owners == label))
        order, taken = order[: max(1, len(order) - 1)], 0
        for part, size in zip(order.tolist(), sizes[order].tolist(), strict=True):
            if 2 * taken + size <= 2 * quotas[label]:
                drawn[part], taken = True, taken + size
        if not taken:
            drawn[order[sizes[order].argmin()]] = True
    return np.asarray(drawn[parts])


def _quotas(rows: np.ndarray, several: np.ndarray, total: int) -> np.ndarray:
    """Divides `total` among labels of so many rows by the largest remainder, int64 [labels].

    A label of several parts keeps a row; of one that is a single part the quota is at most 1, and
    this where the other labels cannot have it.
    """
    present, count = rows > 0, rows.sum()
    quotas = total * rows // count
    left, quotas = total - quotas.sum(), np.where(several, quotas, 0)
    most = np.where(several, rows - 1, present)
    while left > 0 and len(able := np.flatnonzero(quotas < most)):
        order = np.lexsort((quotas[able] * count - total * rows[able], ~several[able]))
        quotas[able[order[:left]]] += 1
        left -= min(left, len(able))
    if not quotas.any():
        quotas[np.flatnonzero(present)[rows[present].argmin()]] = 1
    return quotas


def _numbered(keys: Iterable[Hashable]) -> np.ndarray:
    """Numbers equal keys alike, in the order of their first appearance, int64."""
    seen: dict[Hashable, int] = {}
    return np.array([seen.setdefault(key, len(seen)) for key in keys], np.int64)
