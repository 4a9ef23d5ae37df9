"""The few padded shapes of batches, known before training so that nothing compiles later."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np

LENGTH_MULTIPLE = 8
DISTINCT_MULTIPLE = 128
TOKEN_COST = 0.02  # of a padded position, in padded distinct ids, under [CLS] pooling

_HEADROOM = 1.03  # over the most distinct ids seen, for epochs that are not simulated
_GOOD_ENOUGH = 1.005  # a longer chain must save more than this


@dataclass(frozen=True)
class Shapes:
    """A chain of growing pairs (length L, distinct ids U); the first that holds a batch is taken.

    >>> Shapes(((32, 512), (64, 512), (64, 2048))).pick(40, 300)
    (64, 512)
    """

    chain: tuple[tuple[int, int], ...]

    def pick(self, length: int, distinct: int) -> tuple[int, int]:
        """Returns the first pair that holds a batch; ValueError if none does."""
        for pair in self.chain:
            if length <= pair[0] and distinct <= pair[1]:
                return pair
        size = f"{length} tokens a text and {distinct} distinct ids"
        raise ValueError(f"a batch of {size} is larger than the largest shape {self.chain[-1]}")

    def holding(self, length: int, distinct: int, *, multiple: int = DISTINCT_MULTIPLE) -> Shapes:
        """Returns the same chain, with one more pair at its end if it does not hold this much."""
        longest, widest = self.chain[-1]
        if length <= longest and distinct <= widest:
            return self
        length, distinct = round_up(length, LENGTH_MULTIPLE), round_up(distinct, multiple)
        return Shapes((*self.chain, (max(longest, length), max(widest, distinct))))

    @classmethod
    def geometric(cls, rows: int, max_length: int, table_rows: int) -> Shapes:
        """Returns a chain for a stream of texts: lengths 16, 32, ..., each with two counts.

        It depends on no data and holds any batch of `rows` texts of at most `max_length` tokens.
        """
        longest = round_up(max_length, LENGTH_MULTIPLE)
        powers = (1 << i for i in range(4, (longest - 1).bit_length()))
        lengths = (min(8, longest // 2), *powers, longest)
        chain = {
            (length, round_up(min(rows * tokens, table_rows), DISTINCT_MULTIPLE))
            for shorter, length in itertools.pairwise(lengths)
            for tokens in (shorter, length)
        }
        return cls(tuple(sorted(chain)))

    @classmethod
    def fitted(
        cls,
        lengths: np.ndarray,
        distinct: np.ndarray,
        *,
        max_pairs: int,
        length_cost: float,
        bound: tuple[int, int] | None = None,
        multiple: int = DISTINCT_MULTIPLE,
    ) -> Shapes:
        """Chooses the chain that pads a sample of batches least, by `U + length_cost * L`.

        Args:
          lengths, distinct: longest text and distinct ids of each batch, int [batches].
          max_pairs: maximum number of pairs.
          length_cost: time for a unit of L, in those for a distinct id: the rows of a batch if the
            feed-forward runs on every token, much less (`TOKEN_COST`) if it runs on one per text.
          bound: the largest batch that can occur, if the sample is incomplete.
          multiple: divides every U.
        """
        if bound is not None:
            seen = max(int(distinct.max()), 1) * _HEADROOM
            lengths = np.append(lengths, bound[0])
            distinct = np.append(distinct, min(int(np.ceil(seen)), bound[1]))
            max_pairs -= 1
        shapes = cls(_cheapest_chain(lengths, distinct, length_cost, max_pairs, multiple))
        return shapes if bound is None else shapes.holding(*bound, multiple=multiple)


def round_up(value: int, multiple: int) -> int:
    """Returns the next multiple.

    >>> round_up(9, 8), round_up(8, 8)
    (16, 8)
    """
    return -(-value // multiple) * multiple


def _cheapest_chain(
    lengths: np.ndarray, distinct: np.ndarray, length_cost: float, max_pairs: int, multiple: int
) -> tuple[tuple[int, int], ...]:
    """Searches a grid of pairs by dynamic programming.

    The batches that take pair q after pair p are those that fit q less those that fit p.
    """
    length_grid = _candidates(lengths, LENGTH_MULTIPLE, most=16)
    distinct_grid = _candidates(distinct, multiple, most=24)
    fits = np.zeros((len(length_grid), len(distinct_grid)))
    places = np.searchsorted(length_grid, lengths), np.searchsorted(distinct_grid, distinct)
    np.add.at(fits, places, 1)
    fitting = fits.cumsum(0).cumsum(1).ravel()
    pairs = np.stack(np.meshgrid(length_grid, distinct_grid, indexing="ij"), -1).reshape(-1, 2)
    cost = pairs[:, 1] + length_cost * pairs[:, 0]
    after = (pairs[:, None] <= pairs[None]).all(-1) & ~np.eye(len(pairs), dtype=bool)

    added = np.where(after, (fitting[None] - fitting[:, None]) * cost[None], np.inf)
    best, came_from = [fitting * cost], [np.full(len(pairs), -1)]
    for _ in range(1, min(max_pairs, len(pairs))):
        total = best[-1][:, None] + added
        came_from.append(total.argmin(0))
        best.append(total.min(0))
    totals = np.array([costs[-1] for costs in best])
    size = int(np.flatnonzero(totals <= _GOOD_ENOUGH * totals.min())[0])
    chain = [len(pairs) - 1]
    for sources in came_from[size:0:-1]:
        chain.insert(0, sources[chain[0]])
    return tuple((length, width) for length, width in pairs[chain].tolist())


def _candidates(values: np.ndarray, multiple: int, most: int) -> np.ndarray:
    """Returns rounded-up values, thinned to quantiles; the largest is always among them."""
    rounded = np.sort(-(-np.maximum(values, 1) // multiple) * multiple)
    if len(np.unique(rounded)) > most:
        rounded = rounded[np.linspace(0, len(rounded) - 1, most).round().astype(int)]
    return np.unique(rounded)
