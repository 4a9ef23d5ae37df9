"""Batches prepared ahead in a thread, at a position that can be checkpointed."""

from __future__ import annotations

from typing import Any

from wave_jax.data.assembly import Batch
from wave_jax.data.batches import TrainBatches

_AHEAD = 4


def train_iterator(batches: TrainBatches, start_step: int, total_steps: int) -> Any:
    """Returns a Grain iterator over the batches of steps `start_step` ... `total_steps - 1`.

    Every element is a whole `Batch`, which keeps Grain's cost per element off the texts. One thread
    prepares four batches ahead; an error in it comes out of `next`.

    `get_state()` is a small JSON-able dict that counts the steps taken, `set_state` goes to such a
    place; as batches are pure functions of their step, the state fits any number of processes.
    """
    import grain

    source = _Steps(batches, total_steps)
    options = grain.ReadOptions(num_threads=1, prefetch_buffer_size=_AHEAD)
    iterator = iter(grain.MapDataset.source(source).to_iter_dataset(options))
    if start_step:
        iterator.set_state({"next_index": start_step})
    return iterator


class _Steps:
    """The batches of a whole run, as a random-access source."""

    def __init__(self, batches: TrainBatches, total_steps: int) -> None:
        self._batches = batches
        self._total_steps = total_steps

    def __len__(self) -> int:
        return self._total_steps

    def __getitem__(self, step: int) -> Batch:
        return self._batches.batch(int(step))

    def __repr__(self) -> str:
        return f"steps of training, {self._total_steps}"
