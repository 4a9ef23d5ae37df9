"""Rows of accuracy, memory and time, as in the first paper's tables."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from wave_jax.experiments.jobs import Plan
from wave_jax.experiments.scale import CONTESTANTS
from wave_jax.experiments.section import difference, mib, percent, results, spread

HEAD = (
    "model", "setting", "paper %", "ours %", "difference", "seeds", "paper GB", "step MiB",
    "paper s/epoch", "s/epoch",
)  # fmt: skip


class Entry(NamedTuple):
    """A row: a contestant, its setting, the paper's (accuracy, GB, seconds), our records."""

    name: str
    setting: str
    paper: tuple[float, float, float] | None
    records: list[dict[str, Any]]


def accuracy_rows(plan: Plan, entries: Sequence[Entry]) -> list[list[str]]:
    """Returns the table's rows.

    Memory is that of the largest compiled training step: arguments, results and temporaries.
    """
    del plan
    rows = []
    for entry in entries:
        accuracy = results(entry.records, "test_accuracy")
        sizes = [size for size in results(entry.records, "step_bytes") if size is not None]
        rows.append(
            [
                CONTESTANTS[entry.name],
                entry.setting,
                f"{entry.paper[0]:.2f}" if entry.paper else "–",
                percent(accuracy),
                difference(accuracy, entry.paper[0] if entry.paper else None),
                str(len(accuracy)),
                f"{entry.paper[1]:.2f}" if entry.paper else "–",
                mib(max(sizes)) if sizes else "–",
                f"{entry.paper[2]:,.0f}" if entry.paper else "–",
                spread([_seconds(record) for record in entry.records], 1),
            ]
        )
    return rows


def _seconds(record: dict[str, Any]) -> float:
    """Returns the seconds of an epoch, compilation and evaluation not counted."""
    last = record["result"]["rows"][-1]
    return float(record["time"]["seconds"] / max(last["epoch"], 1e-9))
