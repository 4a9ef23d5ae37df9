"""Two networks compared on the same test texts, several seeds each."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from wave_jax.experiments.plan import Record

BOUND = 0.5  # points within which a difference does not matter
_RESAMPLES = 2_000


class Difference(NamedTuple):
    """How far one is ahead of another, in points, with a 95 % interval."""

    mean: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.mean:+.2f} [{self.low:+.2f}, {self.high:+.2f}] {self.verdict}"

    @property
    def verdict(self) -> str:
        """What the interval says: '>' or '<' 0, '=' within the bounds of equivalence, or '?'.

        >>> Difference(0.1, -0.2, 0.4).verdict, Difference(1.0, 0.7, 1.3).verdict
        ('=', '>')
        """
        sign = ">" if self.low > 0 else "<" if self.high < 0 else ""
        level = "=" if self.low >= -BOUND and self.high <= BOUND else ""
        return sign + level or "?"


def right(records: Sequence[Record]) -> np.ndarray:
    """Returns which test texts each run got right, bool [runs, texts]."""
    count = records[0]["result"]["test_examples"]
    packed = [np.frombuffer(bytes.fromhex(r["result"]["right"]), np.uint8) for r in records]
    return np.unpackbits(np.array(packed), axis=1)[:, :count].astype(bool)


def difference(first: np.ndarray, second: np.ndarray) -> Difference:
    """Returns how far `first` is ahead of `second`, both bool [seeds, texts], of the same texts.

    The interval is that of a bootstrap which draws texts, the same for both, and seeds, anew for
    each; texts and seeds are both samples.
    """
    rng, count = np.random.default_rng(0), first.shape[1]
    drawn = np.zeros((_RESAMPLES, count), np.float32)
    for row in drawn:
        np.add.at(row, rng.integers(count, size=count), 1 / count)
    by_seed = (x.astype(np.float32) @ drawn.T for x in (first, second))
    seeds = (rng.integers(len(x), size=(len(x), _RESAMPLES)) for x in (first, second))
    means = [
        np.take_along_axis(accuracy, chosen, axis=0).mean(axis=0)
        for accuracy, chosen in zip(by_seed, seeds, strict=True)
    ]
    values = means[0] - means[1]
    low, high = np.quantile(values, (0.025, 0.975))
    mean = first.mean() - second.mean()
    return Difference(*(100 * float(x) for x in (mean, low, high)))
