"""The splits of a source, and the deterministic cut of those that it lacks."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from wave_jax.data.rows import Rows
from wave_jax.errors import UserError

_TEST, _VALIDATION = 1, 2  # streams of the seed, so that one cut does not shape the other


@dataclass(frozen=True)
class Splits:
    """What a source gives; parts that it lacks are None until `cut`."""

    name: str
    description: str
    train: Rows
    validation: Rows | None = None
    test: Rows | None = None
    names: tuple[str, ...] | None = None

    @property
    def is_whole(self) -> bool:
        """Whether the source is a single table without parts."""
        return self.validation is None and self.test is None


def cut(parts: Splits, *, validation_fraction: float, test_fraction: float, seed: int) -> Splits:
    """Returns `parts` with validation and test filled, taken out of the training rows.

    The rows of a part keep their order. What is taken depends on the number of rows, the fractions
    and the seed alone: first the test, then the validation rows from what is left.
    """
    train, test, validation = parts.train, parts.test, parts.validation
    if test is None:
        train, test = _take_rows(train, test_fraction, (seed, _TEST), "data.test-fraction")
    if validation is None:
        share = (seed, _VALIDATION)
        train, validation = _take_rows(
            train, validation_fraction, share, "data.validation-fraction"
        )
    return replace(parts, train=train, validation=validation, test=test)


def _take_rows(
    rows: Rows, fraction: float, seed: tuple[int, int], option: str
) -> tuple[Rows, Rows]:
    """Returns what stays and what is taken: at least one row each."""
    if not 0 < fraction < 1:
        raise UserError(f"--{option} is {fraction}, expected a share between 0 and 1")
    if seed[0] < 0:
        raise UserError(f"--data.split-seed is {seed[0]}, expected 0 or more")
    count = len(rows)
    if count < 2:
        raise UserError(f"{rows.origin} has too few rows to be cut into parts: {count} left")
    taken = min(max(round(fraction * count), 1), count - 1)
    order = np.random.default_rng(seed).permutation(count)
    return rows.take(np.sort(order[taken:])), rows.take(np.sort(order[:taken]))
