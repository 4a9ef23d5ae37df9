"""How a step's time grows with the length of texts and with their number."""

from __future__ import annotations

import numpy as np

from benchmarks.data import Setting
from benchmarks.report import Figure, Report, workers
from benchmarks.workers import take_turns

_TRAINER = "benchmarks.contestants.synthetic:Trainer"
_LENGTHS, _TEXTS = (64, 256, 1024, 4096, 16_384), 8
_BATCHES, _TOKENS = (16, 64, 256, 1024), 64


def run(setting: Setting, repeats: int) -> Report:
    """Times steps of several lengths, then of several numbers of texts, each set in turn."""
    report = Report()
    turns = max(3, repeats // 2)
    _measure(report, setting, turns, "tokens a text", {n: (_TEXTS, n) for n in _LENGTHS})
    _measure(report, setting, turns, "texts a batch", {b: (b, _TOKENS) for b in _BATCHES})
    report.notes.append(
        f"lengths with {_TEXTS} texts, numbers of texts with {_TOKENS} tokens each; the exponent "
        "is the slope of a line through the logarithms"
    )
    return report


def _measure(
    report: Report, setting: Setting, turns: int, what: str, sizes: dict[int, tuple[int, int]]
) -> None:
    wanted = {f"{size:,} {what}": (_TRAINER, setting, *given) for size, given in sizes.items()}
    with workers(report, wanted) as running:
        seconds = take_turns(
            {name: (worker, "step", ()) for name, worker in running.items()}, turns
        )
        largest = list(running.values())[-1]
        report.facts[f"peak memory of the process with most {what}, MB"] = (
            largest.peak_bytes() / 1e6
        )
    for name, values in seconds.items():
        report.figures[name] = Figure.of(1e3 * values, "ms")
    medians = np.log([report.figures[name].median for name in wanted])
    steps = np.log(list(sizes))
    report.ratios[f"exponent in {what}"] = float(np.polyfit(steps, medians, 1)[0])
    local = np.diff(medians) / np.diff(steps)
    report.ratios[f"largest exponent between two neighbours, {what}"] = float(local.max())
