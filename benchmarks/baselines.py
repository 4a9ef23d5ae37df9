"""A step of ours beside a one-layer Transformer and BERT base, all of this package."""

from __future__ import annotations

from benchmarks.data import Setting
from benchmarks.report import Figure, Report, workers
from benchmarks.workers import take_turns

_OURS = "benchmarks.contestants.ours:Trainer"


def run(setting: Setting, repeats: int) -> Report:
    """Times a step of each in turn, on one batch; fewer turns, as BERT takes its time."""
    report = Report()
    wanted = {
        "ours": (_OURS, setting),
        "Transformer, one layer": (_OURS, setting, {"kind": "transformer", "dropout": 0.1}),
        "BERT base": (_OURS, setting, {"kind": "bert", "dropout": 0.1}),
    }
    with workers(report, wanted) as running:
        seconds = take_turns(
            {name: (worker, "step", ()) for name, worker in running.items()},
            max(2, repeats // 3),
        )
        facts = {name: worker.ask("facts") for name, worker in running.items()}
        peaks = {name: worker.peak_bytes() for name, worker in running.items()}
    for name, values in seconds.items():
        report.figures[name] = Figure.of(1e3 * values, "ms")
        report.facts[f"{name}: temporaries, MB"] = facts[name].get("temporaries", 0.0) / 1e6
        report.facts[f"{name}: arithmetic, GFLOP"] = facts[name].get("flops", 0.0) / 1e9
        report.facts[f"{name}: peak memory of its process, MB"] = peaks[name] / 1e6
    ours = report.figures["ours"].median
    for name in list(wanted)[1:]:
        report.ratios[f"{name} / ours, time"] = report.figures[name].median / ours
        for kind in ("temporaries", "flops"):
            if facts[name].get(kind):
                report.ratios[f"ours / {name}, {kind}"] = facts["ours"][kind] / facts[name][kind]
    return report
