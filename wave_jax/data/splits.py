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
    generator, drawn = np.random.default_rng(seed), np.zeros(len(sizes), bool)
    taken, seen = 0, 0
    for label in np.argsort(rows, kind="stable"):  # the largest last makes up for the others
        seen += rows[label]
        goal = (2 * total * seen + count) // (2 * count)  # rounded, so that the quotas add up
        for part in generator.permutation(np.flatnonzero(owners == label))[1:].tolist():
            if 2 * taken + sizes[part] <= 2 * goal:
                drawn[part], taken = True, taken + sizes[part]
    if not drawn.any():
        drawn[sizes.argmin()] = True
    return np.asarray(drawn[parts])


def _numbered(keys: Iterable[Hashable]) -> np.ndarray:
    """Numbers equal keys alike, in the order of their first appearance, int64."""
    seen: dict[Hashable, int] = {}
    return np.array([seen.setdefault(key, len(seen)) for key in keys], np.int64)
