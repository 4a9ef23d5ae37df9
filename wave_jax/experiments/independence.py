"""How far the dimensions of embeddings are from being correlated with one another."""

from __future__ import annotations

from typing import Any

import numpy as np

_BINS = 41
_HEAT_DIMS = 48


def independence(rows: np.ndarray) -> dict[str, Any]:
    """Returns statistics of the correlation between dimensions over rows [tokens, d].

    Returns:
        `mean_abs` and `max_abs` of the off-diagonal correlations; `effective_rank`, the exponential
        of the entropy of the correlation matrix's eigenvalues (Roy and Vetterli 2007), d for
        uncorrelated dimensions; `histogram`, counts of the off-diagonal correlations in bins
        between -1 and 1; `corner`, the correlations of the first dimensions; `expected_mean_abs`,
        what independent Gaussian dimensions would show with that many tokens, sqrt(2 / pi / n).

    >>> independence(np.eye(4)[:, :2])["max_abs"]
    0.33333
    """
    rows = np.asarray(rows, np.float64)
    count, dim = rows.shape
    correlation = np.corrcoef(rows, rowvar=False)
    others = correlation[~np.eye(dim, dtype=bool)]
    shares = np.clip(np.linalg.eigvalsh(correlation), 0, None) / dim
    positive = shares[shares > 0]
    histogram, _ = np.histogram(others, bins=_BINS, range=(-1, 1))
    return {
        "tokens": count,
        "dim": dim,
        "mean_abs": _round(np.abs(others).mean()),
        "max_abs": _round(np.abs(others).max()),
        "effective_rank": _round(np.exp(-(positive * np.log(positive)).sum())),
        "expected_mean_abs": _round(np.sqrt(2 / np.pi / count)),
        "histogram": histogram.tolist(),
        "corner": [[_round(v, 3) for v in row[:_HEAT_DIMS]] for row in correlation[:_HEAT_DIMS]],
    }


def _round(value: float, digits: int = 5) -> float:
    return round(float(value), digits)
