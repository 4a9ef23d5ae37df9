"""What a benchmark finds: figures with their spread, ratios, facts and notes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np


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
    """The results of one benchmark; every ratio comes from figures of this run."""

    figures: dict[str, Figure] = field(default_factory=dict)
    ratios: dict[str, float] = field(default_factory=dict)
    facts: dict[str, Any] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def add(self, name: str, values: Any, unit: str) -> None:
        """Adds the figure of some measurements."""
        self.figures[name] = Figure.of(values, unit)

    def add_ratio(self, name: str, above: str, below: str) -> None:
        """Adds the ratio of two figures' medians."""
        self.ratios[name] = self.figures[above].median / self.figures[below].median

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
