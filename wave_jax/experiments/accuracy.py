"""Rows of accuracy, memory and time, as in the first paper's tables."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from typing import Any, NamedTuple

from wave_jax.experiments.scale import CONTESTANTS
from wave_jax.experiments.section import difference, mib, percent, results

HEAD = (
    "model", "setting", "paper %", "ours: test %", "difference", "validation %", "seeds",
    "paper GB", "step MiB", "paper s/epoch", "s/epoch",
)  # fmt: skip
MEMORY = (
    "Memory is the largest compiled step's of the training itself: arguments (parameters and "
    "AdamW's moments), results and temporaries; waves and the mean compute distinct tokens once "
    "and update the batch's rows of the table only, which the others do not (the same plain step "
    "for all is under resources). The paper's is what its GPU reported. Seconds are the median "
    "over seeds for the texts named; the paper's are of whole data sets."
)


class Entry(NamedTuple):
    """A row: a contestant, its setting, the paper's (accuracy, GB, seconds), our records."""

    name: str
    setting: str
    paper: tuple[float, float, float] | None
    records: list[dict[str, Any]]


def accuracy_rows(entries: Sequence[Entry]) -> list[list[str]]:
    """Returns the table's rows."""
    rows = []
    for entry in entries:
        if not entry.records:
            continue
        accuracy = results(entry.records, "test_accuracy")
        sizes = [size for size in results(entry.records, "step_bytes") if size is not None]
        rows.append(
            [
                CONTESTANTS[entry.name],
                entry.setting,
                f"{entry.paper[0]:.2f}" if entry.paper else "–",
                percent(accuracy),
                difference(accuracy, entry.paper[0] if entry.paper else None),
                percent(results(entry.records, "validation_accuracy")),
                str(len(accuracy)),
                f"{entry.paper[1]:.2f}" if entry.paper else "–",
                mib(max(sizes)) if sizes else "–",
                f"{entry.paper[2]:,.0f}" if entry.paper else "–",
                f"{statistics.median(map(_seconds, entry.records)):,.1f}",
            ]
        )
    return rows


def _seconds(record: dict[str, Any]) -> float:
    """Returns the seconds of an epoch, compilation and evaluation not counted."""
    last = record["result"]["rows"][-1]
    return float(record["time"]["seconds"] / max(last["epoch"], 1e-9))
