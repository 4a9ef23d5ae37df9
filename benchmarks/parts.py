"""The time of a training step by part, from the profiler's record of every operation."""

from __future__ import annotations

import re
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

import jax

from benchmarks.implementations.wave import WaveTraining
from benchmarks.report import Figure, Report
from benchmarks.setting import Setting
from benchmarks.workers import workers

# An operation belongs to the first part whose pattern occurs in its name, which holds the
# functions and scopes that it was traced in.
PARTS = (
    ("random numbers of dropout", r"_bernoulli|threefry|_uniform|_streams"),
    ("rows of the table: read", r"read_rows|gather_rows"),
    ("rows of the table: AdamW and write", r"update_rows"),
    ("other parameters: AdamW", r"update_rest"),
    ("norm and clipping of the gradient", r"clip"),
    ("projection: backward products", r"transpose\(.*project"),
    ("projection: forward product", r"project"),
    ("sums over texts: backward", r"transpose\(.*(_norm_of_others)"),
    ("sums over texts: forward", r"_norm_of_others"),
    ("head, backward", r"transpose\("),
    ("head, forward, and loss", r"jvp\("),
)


def run(setting: Setting, repeats: int) -> Report:
    """Adds up operations by part, beside the time of a step that is not recorded."""
    report = Report()
    with workers({"ours": ("benchmarks.parts:Profiler", setting)}, report.notes) as running:
        plain = Figure.of([1e3 * running["ours"].seconds("step") for _ in range(4 * repeats)], "ms")
        operations = running["ours"].ask("profile", 2 * repeats)
    parts: Counter[str] = Counter()
    for name, seconds in operations.items():
        parts[part_of(name)] += 1e3 * seconds
    total = sum(parts.values())
    named = total - parts["other"]
    for part, value in parts.most_common():
        report.figures[part] = Figure(value, value, value, f"ms {value / total:6.1%}")
    report.figures["sum of all operations"] = Figure(total, total, total, "ms")
    report.figures["a step, not recorded"] = plain
    report.facts["share of the recorded time that a named part has"] = named / total
    report.ratios["sum of named parts / a step, not recorded"] = named / plain.median
    return report


def part_of(name: str) -> str:
    """Returns the part that an operation belongs to, by the operation's full name."""
    return next((part for part, pattern in PARTS if re.search(pattern, name)), "other")


class Profiler:
    """Training steps, recorded by the profiler."""

    def __init__(self, setting: Setting) -> None:
        # a program from the cache may carry the names of an older version of the code
        jax.config.update("jax_compilation_cache_include_metadata_in_key", True)
        self._training = WaveTraining(setting)
        self._training.step(3)

    def profile(self, steps: int) -> dict[str, float]:
        """Returns the seconds of a step by operation's full name."""
        with tempfile.TemporaryDirectory() as folder:
            with jax.profiler.trace(folder):
                self._training.step(steps)
            durations = _durations(next(Path(folder).rglob("*.xplane.pb")), self.full_names())
        return {name: seconds / steps for name, seconds in durations.items()}

    def full_names(self) -> dict[str, str]:
        """Returns the full name of every operation of the compiled step by its short one."""
        pattern = r'^\s*(?:ROOT )?%([\w.\-]+) = .*?metadata=\{[^}]*?op_name="([^"]*)"'
        return dict(re.findall(pattern, self._training.hlo(), re.MULTILINE))

    def step(self) -> None:
        """Makes a step that is not recorded."""
        self._training.step()


def _durations(path: Path, names: dict[str, str]) -> dict[str, float]:
    """Returns seconds by full name; of a loop only the operations of its body."""
    durations: Counter[str] = Counter()
    for plane in jax.profiler.ProfileData.from_file(str(path)).planes:
        for line in plane.lines:
            for event in line.events:
                stats: dict[str, Any] = dict(event.stats)
                name = stats.get("hlo_op") or (event.name if event.name in names else None)
                if name and not re.match(r"(while|call|conditional)\b", str(name)):
                    durations[names.get(str(name), str(name))] += event.duration_ns / 1e9
    return dict(durations)
