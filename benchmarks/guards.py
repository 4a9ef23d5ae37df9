"""What watching over a training costs: the same loop with its guards and without, turn about."""

from __future__ import annotations

import numpy as np

from benchmarks.contestants.guarded import KINDS
from benchmarks.data import Setting
from benchmarks.report import Figure, Report, workers

_STEPS = 50  # of a turn, with one row of metrics, as by default
_TURNS = 4  # times `repeats`: differences of a percent want many rounds
_DRAWS = 2000


def run(setting: Setting, repeats: int) -> Report:
    """Times rounds of three turns, of which two are of one kind: they show what noise does."""
    report = Report()
    seconds: dict[str, list[float]] = {kind: [] for kind in KINDS}
    with workers(
        report, {"training": ("benchmarks.contestants.guarded:Training", setting, _STEPS)}
    ) as running:
        for number in range(_TURNS * repeats + 1):
            shift = number % len(KINDS)  # each kind comes first, second and last as often
            for kind in (*KINDS[shift:], *KINDS[:shift]):
                seconds[kind].append(running["training"].ask("turn", kind))
    steps = {kind: 1e3 * np.array(values[1:]) / _STEPS for kind, values in seconds.items()}
    for kind, values in steps.items():
        report.figures[f"a step, {kind}"] = Figure.of(values, "ms")
    guarded, without, again = (steps[kind] for kind in KINDS)
    for name, one in (("cost of the guards", guarded), ("the same twice", again)):
        percent = 100 * (one / without - 1)
        report.figures[f"{name}, round by round"] = Figure.of(percent, "%")
        low, high = _interval(percent)
        report.facts[f"{name}: 95 % interval of the median, %"] = f"{low:+.2f} to {high:+.2f}"
    report.facts["rounds"] = len(guarded)
    return report


def _interval(values: np.ndarray) -> tuple[float, float]:
    """Returns the 95 % bootstrap interval of the median."""
    draws = np.random.default_rng(0).choice(values, (_DRAWS, len(values)))
    low, high = np.percentile(np.median(draws, axis=1), [2.5, 97.5])
    return float(low), float(high)
