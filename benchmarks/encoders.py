"""One training step beside a one-layer Transformer's and BERT base's, all of this package."""

from __future__ import annotations

from benchmarks.report import Report
from benchmarks.setting import Setting
from benchmarks.step import WAVE, compare
from benchmarks.workers import take_turns, workers


def run(setting: Setting, repeats: int) -> Report:
    """Times a step of each, on one batch; fewer turns, as BERT's takes seconds."""
    report = Report()
    wanted = {
        "ours": (WAVE, setting),
        "Transformer, one layer": (WAVE, setting, {"kind": "transformer", "dropout": 0.1}),
        "BERT base": (WAVE, setting, {"kind": "bert", "dropout": 0.1}),
    }
    with workers(wanted, report.notes) as running:
        calls = {name: (worker, "step") for name, worker in running.items()}
        compare(report, running, take_turns(calls, max(2, repeats // 3)))
    return report
