"""The time of a step by part, from the profiler's record of every operation."""

from __future__ import annotations

import re
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

import jax

from benchmarks.contestants.ours import Trainer
from benchmarks.data import Setting
from benchmarks.report import Figure, Report, workers

# A part is the first whose pattern occurs in an operation's name, which holds the functions and
# scopes that it was traced in.
PARTS = (
    ("random numbers of dropout", r"_bernoulli|threefry|_uniform|_streams"),
    ("rows of the table: read", r"read_rows|gather_rows"),
    ("rows of the table: AdamW and write", r"update_rows"),
    ("other parameters: AdamW", r"update_rest"),
    ("norm and clipping of the gradient", r"clip"),
    ("projection: backward products", r"transpose\(.*project"),
    ("projection: forward product", r"project"),
    ("sums over texts: backward", r"transpose\(.*(_rest_by_counts|rest_norm)"),
    ("sums over texts: forward", r"_rest_by_counts|rest_norm"),
    ("head, backward", r"transpose\("),
    ("head, forward, and loss", r"jvp\("),
)


class Profiler:
    """Steps of ours, recorded by the profiler in a process of its own."""

    def __init__(self, setting: Setting) -> None:
        self._trainer = Trainer(setting)
        self._trainer.step(3)

    def profile(self, steps: int) -> dict[str, float]:
        """Returns the seconds of a step by operation's full name."""
        with tempfile.TemporaryDirectory() as folder:
            with jax.profiler.trace(folder):
                self._trainer.step(steps)
            names = _full_names(self._trainer.hlo())
            found = _durations(next(Path(folder).rglob("*.xplane.pb")), names)
        return {name: seconds / steps for name, seconds in found.items()}

    def step(self) -> None:
        """Makes a step, not recorded."""
        self._trainer.step()


def run(setting: Setting, repeats: int) -> Report:
    """Adds up operations by part, beside the time of a step that nothing records."""
    report = Report()
    with workers(report, {"ours": ("benchmarks.parts:Profiler", setting)}) as running:
        worker = running["ours"]
        plain = Figure.of([1e3 * worker.call("step")[0] for _ in range(4 * repeats)], "ms")
        operations = worker.ask("profile", 2 * repeats)
    parts: Counter[str] = Counter()
    for name, seconds in operations.items():
        parts[_part(name)] += 1e3 * seconds
    total = sum(parts.values())
    named = total - parts["other"]
    for part, value in parts.most_common():
        report.figures[part] = Figure(value, value, value, f"ms {value / total:6.1%}")
    report.figures["sum of all operations"] = Figure(total, total, total, "ms")
    report.figures["a step, not recorded"] = plain
    report.facts["share of the recorded time that a named part has"] = named / total
    report.ratios["sum of named parts / a step, not recorded"] = named / plain.median
    return report


def _part(name: str) -> str:
    return next((part for part, pattern in PARTS if re.search(pattern, name)), "other")


def _full_names(hlo: str) -> dict[str, str]:
    pattern = r'^\s*(?:ROOT )?%([\w.\-]+) = .*?metadata=\{[^}]*?op_name="([^"]*)"'
    return dict(re.findall(pattern, hlo, re.MULTILINE))


def _durations(path: Path, names: dict[str, str]) -> dict[str, float]:
    """Returns seconds by full name; loops count through their bodies' operations alone."""
    found: Counter[str] = Counter()
    for plane in jax.profiler.ProfileData.from_file(str(path)).planes:
        for line in plane.lines:
            for event in line.events:
                stats: dict[str, Any] = dict(event.stats)
                name = stats.get("hlo_op") or (event.name if event.name in names else None)
                if name and not re.match(r"(while|call|conditional)\b", str(name)):
                    found[names.get(str(name), str(name))] += event.duration_ns / 1e9
    return dict(found)
