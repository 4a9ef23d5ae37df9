"""One training step on one batch: ours beside what a user would pick instead."""

from __future__ import annotations

import dataclasses

from benchmarks.data import USUAL_PADDING, Setting
from benchmarks.report import Figure, Report, workers
from benchmarks.workers import take_turns

_OURS = "benchmarks.contestants.ours:Trainer"
_LITERAL = "benchmarks.contestants.literal:Trainer"
_TORCH = "benchmarks.contestants.torch_wave:Trainer"


def run(setting: Setting, repeats: int) -> Report:
    """Times a step of every contestant in turn, on the batch of median distinct ids."""
    report = Report()
    dense = dataclasses.replace(setting, table_optimizer="dense")
    dropping = dataclasses.replace(setting, word_dropout=0.4)
    low = dataclasses.replace(setting, precision="bfloat16")
    wanted = {
        "ours": (_OURS, setting),
        "ours, dense AdamW": (_OURS, dense),
        "ours, word dropout 0.4": (_OURS, dropping),
        "ours, bfloat16": (_OURS, low),
        "literal complex JAX": (_LITERAL, setting),
        f"PyTorch, padded to {USUAL_PADDING}": (_TORCH, setting, USUAL_PADDING),
        "PyTorch, our lengths": (_TORCH, setting),
    }
    with workers(report, wanted) as running:
        shape = running["ours"].ask("shape")
        products = {
            "products alone": ("benchmarks.contestants.ours:Products", shape[2], setting.dim)
        }
        with workers(report, products) as machine:
            turns = {name: (worker, "step", ()) for name, worker in running.items()}
            turns["products alone"] = (machine["products alone"], "multiply", ())
            turns["copy"] = (machine["products alone"], "copy", ())
            seconds = take_turns(turns, repeats)
            flops, copied = (
                machine["products alone"].ask(name) for name in ("flops", "copied_bytes")
            )
        for name, values in seconds.items():
            if name != "copy":
                report.figures[f"{name}"] = Figure.of(1e3 * values, "ms")
        medians = {name: figure.median for name, figure in report.figures.items()}
        for name in running:
            if name != "ours":
                report.ratios[f"{name} / ours"] = medians[name] / medians["ours"]
        report.ratios["products alone / ours"] = medians["products alone"] / medians["ours"]
        report.figures["machine: products"] = Figure.of(
            flops / seconds["products alone"] / 1e9, "GFLOP/s"
        )
        report.figures["machine: copy"] = Figure.of(copied / seconds["copy"] / 1e9, "GB/s")
        report.facts["texts, tokens, distinct rows (padded)"] = "{} x {}, {}".format(*shape)
        _programs(report, {n: w for n, w in running.items() if "PyTorch" not in n})
        for name, worker in running.items():
            report.facts[f"{name}: peak memory of its process, MB"] = worker.peak_bytes() / 1e6
    return report


def _programs(report: Report, running: dict) -> None:
    facts = {name: worker.ask("facts") for name, worker in running.items()}
    for name, found in facts.items():
        for kind, value in found.items():
            unit = "GFLOP" if kind == "flops" else "MB"
            scale = 1e9 if kind == "flops" else 1e6
            report.facts[f"{name}: {kind}, {unit}"] = value / scale
    ours, literal = facts["ours"], facts["literal complex JAX"]
    for kind in ("flops", "temporaries"):
        if ours.get(kind) and literal.get(kind):
            report.ratios[f"{kind}: ours / literal"] = ours[kind] / literal[kind]
