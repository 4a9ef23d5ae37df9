"""`poisoned.py STEP PROCESS OPTIONS...`: train.py, one process's share of a step's batch infinite.

As from a broken memory: the data on disk are good, and the other processes see nothing of it.
"""

from __future__ import annotations

import sys

import numpy as np

from wave_jax.cli import run_command
from wave_jax.data.batches import Batch, TrainBatches


def main(step: int, process: int, arguments: list[str]) -> int:
    """Trains; weights of `process` are infinite at `step`, counted from 0."""
    sound = TrainBatches.batch

    def batch(self: TrainBatches, number: int) -> Batch:
        found = sound(self, number)
        if number == step and int(arguments[-1]) == process:  # --distributed.process, the last
            found = found._replace(weights=np.full_like(found.weights, np.inf))
        return found

    TrainBatches.batch = batch  # type: ignore[method-assign]
    return run_command("train", arguments, prog="train.py")


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3:]))
