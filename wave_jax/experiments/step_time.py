"""How long a plain training step takes, as a job."""

from __future__ import annotations

import statistics
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
from rich.console import Console

from wave_jax.experiments.costs import plain_step
from wave_jax.experiments.jobs import Measured, make_key
from wave_jax.experiments.scale import SCALES, contestant
from wave_jax.training.compilation import matmul_precision

_STEPS = 5


@dataclass(frozen=True)
class StepTime:
    """The median time of a model's plain step, in the papers' sizes, of what lies in memory.

    Attributes:
        model: the contestant.
        batch: texts.
        length: tokens of each.
        seconds: estimated time of the measurement.
    """

    model: str
    batch: int
    length: int
    seconds: float
    seed: int = 0

    @property
    def name(self) -> str:
        """What the record's name begins with."""
        return f"step-time-{self.model}"

    @property
    def key(self) -> str:
        """Name of the record."""
        return make_key(self.name, self.config())

    def config(self) -> dict[str, Any]:
        """Returns what is timed."""
        return {"model": self.model, "batch": self.batch, "length": self.length, "steps": _STEPS}

    def measure(self, work: Path, console: Console) -> Measured:
        """Runs one step to warm up, then those that count."""
        del work, console
        step, shapes = plain_step(contestant(self.model, SCALES["paper"]), self.batch, self.length)
        params, moments, _, *inputs = jax.tree.map(_filled, (*shapes[:2], 0, *shapes[3:]))
        times = []
        with matmul_precision("float32"):
            for number in range(1 + _STEPS):
                key = jax.random.key(number)
                start = time.perf_counter()
                params, moments, loss = step(params, moments, key, *inputs)
                jax.block_until_ready((params, loss))
                times.append(time.perf_counter() - start)
        return Measured({}, {"step_seconds": statistics.median(times[1:]), "first": times[0]})


def _filled(shape: Any) -> Any:
    """Returns an array of that shape: every token real and the same, small parameters."""
    if shape == 0:
        return 0
    if shape.dtype == jnp.bool_:
        return jnp.ones(shape.shape, bool)
    return jnp.full(shape.shape, 0.02 if shape.dtype == jnp.float32 else 1, shape.dtype)
