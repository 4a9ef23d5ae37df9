"""Many steps handed over at once: a scan over batches that lie on the device already.

A stretch begins at a multiple of its length and crosses nothing that is due between two steps, so
which steps form one depends on their numbers alone and a resumed run forms the same. All batches
of a stretch are padded to the largest among them, which changes rounding only.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import numpy as np

from wave_jax.training.metrics import Sums
from wave_jax.training.shapes import Shape
from wave_jax.training.state import State
from wave_jax.training.step import TrainStep

Crosses = Callable[[int, int], bool]


class Stretches:
    """Iterates over (host batch or stack of batches, how many steps it is).

    Args:
        batches: an iterator over host batches with `get_state()`.
        step: the step that the next batch belongs to, counted from 0.
        length: steps of a stretch.
        table_rows: ids from here on are padding.
        crosses: whether something is due within the steps from a first to a last one, both made.
    """

    def __init__(
        self, batches: Any, step: int, length: int, table_rows: int, crosses: Crosses
    ) -> None:
        self._batches, self._step, self._length = batches, step, length
        self._table_rows, self._crosses = table_rows, crosses

    def __iter__(self) -> Stretches:
        return self

    def __next__(self) -> tuple[Any, int]:
        first = next(self._batches)
        count = 1
        if self._step % self._length == 0 and not self._crosses(
            self._step + 1, self._step + self._length
        ):
            count = self._length
        self._step += count
        if count == 1:
            return first, 1
        rest = [next(self._batches) for _ in range(count - 1)]
        return stack([first, *rest], self._table_rows), count

    def get_state(self) -> Any:
        """Returns the state of the batches' iterator."""
        return self._batches.get_state()


def scanned(step: TrainStep) -> TrainStep:
    """Returns the step for a stack of batches: as many steps, one after the other."""

    def steps(state: State, sums: Sums, root: jax.Array, batches: Any) -> tuple[State, Sums]:
        def body(carried: tuple[State, Sums], batch: Any) -> tuple[tuple[State, Sums], None]:
            return step(*carried, root, batch), None

        found, _ = jax.lax.scan(body, (state, sums), batches)
        return found

    return steps


def stack_templates(templates: Mapping[Shape, Any], steps: int) -> dict[Shape, Any]:
    """Returns an empty stack of `steps` batches for every shape of a batch."""
    return {
        (steps, *shape): type(batch)(*(np.stack([leaf] * steps) for leaf in batch))
        for shape, batch in templates.items()
    }


def stack(batches: Sequence[Any], table_rows: int) -> Any:
    """Returns host batches as one with a leading axis, padded to the largest of them."""
    length = max(batch.inverse.shape[1] for batch in batches)
    distinct = max(len(batch.distinct) for batch in batches)
    wide = [_widened(batch, length, distinct, table_rows) for batch in batches]
    return type(batches[0])(*(np.stack(leaves) for leaves in zip(*wide, strict=True)))


def _widened(batch: Any, length: int, distinct: int, table_rows: int) -> Any:
    beyond = max(table_rows, int(batch.distinct[-1]) + 1)
    more = beyond + np.arange(distinct - len(batch.distinct), dtype=np.int32)
    columns = ((0, 0), (0, length - batch.inverse.shape[1]))
    return batch._replace(
        distinct=np.concatenate([batch.distinct, more.astype(np.int32)]),
        inverse=np.pad(batch.inverse, columns),
        mask=np.pad(batch.mask, columns),
    )
