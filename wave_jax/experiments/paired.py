"""Two networks compared on the same test texts, several seeds each."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
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
        """Returns the numbers, and '>' or '<' 0, '=' within the bounds of equivalence, or '?'.

        >>> print(Difference(0.1, -0.2, 0.4), Difference(1.0, 0.7, 1.3))
        +0.10 [-0.20, +0.40] = +1.00 [+0.70, +1.30] >
        """
        sign = ">" if self.low > 0 else "<" if self.high < 0 else ""
        level = "=" if self.low >= -BOUND and self.high <= BOUND else ""
        return f"{self.mean:+.2f} [{self.low:+.2f}, {self.high:+.2f}] {sign + level or '?'}"


def packed(right: np.ndarray) -> str:
    """Returns bool [texts] as a bit each, in hexadecimal."""
    return np.packbits(right).tobytes().hex()


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
    rng = np.random.default_rng(1)

    def resampled(right: np.ndarray) -> np.ndarray:
        accuracy = right @ _weights(right.shape[1])
        seeds = rng.integers(len(right), size=accuracy.shape)
        return np.take_along_axis(accuracy, seeds, axis=0).mean(axis=0)

    low, high = np.quantile(resampled(first) - resampled(second), (0.025, 0.975))
    return Difference(*(100 * float(x) for x in (first.mean() - second.mean(), low, high)))


@cache
def _weights(texts: int) -> np.ndarray:
    """Returns the share of each text in each resample, float32 [texts, resamples]."""
    rng = np.random.default_rng(0)
    drawn = rng.multinomial(texts, np.full(texts, 1 / texts), size=_RESAMPLES)
    return (drawn.T / texts).astype(np.float32)
