"""What an item adds to the report: text, tables and figures."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class Table:
    """Rows of text under headings; the first column is left-aligned, the others right."""

    caption: str
    head: Sequence[str]
    rows: Sequence[Sequence[str]]


@dataclass(frozen=True)
class Picture:
    """A figure with a file name of its own, and what it shows, also for those who cannot see it."""

    name: str
    caption: str
    figure: Figure


@dataclass(frozen=True)
class Section:
    """One item of the report.

    Attributes:
        title: of the paper's table or figure.
        text: what was measured and what came out.
        tables, pictures: what is shown.
        deviations: from the paper's protocol, each with its reason.
    """

    title: str
    text: str
    tables: Sequence[Table] = ()
    pictures: Sequence[Picture] = ()
    deviations: Sequence[str] = field(default=())


def percent(values: Sequence[float]) -> str:
    """Returns mean and standard deviation of fractions, in percent.

    >>> percent([0.9, 0.91]), percent([0.9]), percent([])
    ('90.50 ± 0.71', '90.00', '–')
    """
    return spread([100 * value for value in values], 2)


def spread(values: Sequence[float], digits: int) -> str:
    """Returns mean and, of several values, their standard deviation."""
    if not values:
        return "–"
    mean = sum(values) / len(values)
    if len(values) == 1:
        return f"{mean:,.{digits}f}"
    deviation = math.sqrt(sum((v - mean) ** 2 for v in values) / (len(values) - 1))
    return f"{mean:,.{digits}f} ± {deviation:,.{digits}f}"


def difference(values: Sequence[float], paper: float | None) -> str:
    """Returns by how many points the mean of fractions is off a paper's percentage."""
    if not values or paper is None:
        return "–"
    return f"{100 * sum(values) / len(values) - paper:+.2f}"


def results(records: Sequence[dict[str, Any]], name: str) -> list[float]:
    """Returns one figure of each record's result."""
    return [record["result"][name] for record in records]


def mib(count: float) -> str:
    """Returns bytes as mebibytes.

    >>> mib(3 * 2**20)
    '3'
    """
    return f"{count / 2**20:,.0f}"
