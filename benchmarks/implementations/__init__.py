"""Implementations of one training, to be compared; each runs in a process of its own.

All have the methods `step()`, one step on the example batch; `train(start, count)`, steps on new
batches, which are made meanwhile; `warm_up()`, which compiles for every batch shape; and `costs()`,
what the compiler says of the step on the example batch.
"""

from __future__ import annotations

from typing import Any

import numpy as np


def program_costs(program: Any) -> dict[str, float]:
    """Returns what XLA says of a compiled program: bytes of 'temporaries', and 'flops'."""
    memory, cost = program.memory_analysis(), program.cost_analysis() or {}
    costs = {} if memory is None else {"temporaries": float(memory.temp_size_in_bytes)}
    return costs | ({"flops": float(cost["flops"])} if "flops" in cost else {})


def sinusoids(length: int, dim: int) -> np.ndarray:
    """Returns sinusoidal positions, float32 [length, dim], of the size of fresh embeddings."""
    angles = np.arange(length)[:, None] / 10_000 ** (2 * (np.arange(dim) // 2) / dim)
    waves = np.where(np.arange(dim) % 2, np.cos(angles), np.sin(angles))
    return (waves / np.sqrt(dim)).astype(np.float32)
