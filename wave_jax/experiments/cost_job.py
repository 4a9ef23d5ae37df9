"""Compile-time measurements as jobs."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console

from wave_jax.experiments.jobs import Measured, make_key


@dataclass(frozen=True)
class Costs:
    """A handful of programs compiled and analysed.

    Attributes:
        name: what the record's name begins with.
        options: all that decides the result.
        count: options -> result.
        seconds: estimated time.
    """

    name: str
    options: dict[str, Any]
    count: Callable[[dict[str, Any]], dict[str, Any]]
    seconds: float
    seed: int = 0

    @property
    def key(self) -> str:
        """Name of the record."""
        return make_key(self.name, self.config())

    def config(self) -> dict[str, Any]:
        """Returns the options."""
        return self.options

    def measure(self, work: Path, console: Console) -> Measured:
        """Compiles."""
        del work, console
        start = time.perf_counter()
        result = self.count(self.options)
        return Measured(result, {"seconds": time.perf_counter() - start})
