"""What a benchmark finds: figures with their spread, ratios, and notes."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from benchmarks.workers import NotInstalled, Worker


@dataclass(frozen=True)
class Figure:
    """A median with its quartiles."""

    median: float
    low: float
    high: float
    unit: str

    @classmethod
    def of(cls, values: Any, unit: str) -> Figure:
        """Returns the figure of some measurements."""
        low, median, high = np.percentile(np.asarray(values, float), [25, 50, 75]).tolist()
        return cls(median, low, high, unit)


@dataclass
class Report:
    """What one benchmark found; every ratio comes from figures of this run."""

    figures: dict[str, Figure] = field(default_factory=dict)
    ratios: dict[str, float] = field(default_factory=dict)
    facts: dict[str, Any] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def to_json(self) -> dict[str, Any]:
        """Returns plain values."""
        return asdict(self)

    def lines(self) -> Iterator[str]:
        """Yields the report as lines of text."""
        for name, figure in self.figures.items():
            spread = f"({figure.low:,.4g} to {figure.high:,.4g})"
            yield f"  {name:<52} {figure.median:>10,.4g} {figure.unit:<10} {spread}"
        for name, ratio in self.ratios.items():
            yield f"  {name:<52} {ratio:>10,.4g} x"
        for name, fact in self.facts.items():
            shown = f"{fact:,.4g}" if isinstance(fact, float) else str(fact)
            yield f"  {name:<52} {shown:>10}"
        yield from (f"  note: {note}" for note in self.notes)


@contextlib.contextmanager
def workers(report: Report, wanted: dict[str, tuple[Any, ...]]) -> Iterator[dict[str, Worker]]:
    """Yields running contestants by name; one whose package is missing leaves a note.

    Args:
        wanted: name -> (target, arguments...).
    """
    running: dict[str, Worker] = {}
    try:
        for name, (target, *arguments) in wanted.items():
            try:
                running[name] = Worker(target, *arguments)
            except NotInstalled as error:
                report.notes.append(str(error))
        yield running
    finally:
        for worker in running.values():
            worker.close()
