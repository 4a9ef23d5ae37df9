"""Training with everything included: loading, epochs against device steps, and from outside."""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.data import USUAL_PADDING, Setting
from benchmarks.report import Figure, Report, workers
from benchmarks.workers import take_turns

_FEW, _MANY = 200, 800  # steps of the two trainings timed from outside
_LOOP = 100  # steps of a turn of ours; others make fewer, they take longer
_OTHERS = 5


def run(setting: Setting, repeats: int) -> Report:
    """Times training loops in turn, then whole trainings as commands."""
    report = Report()
    dropping = dataclasses.replace(setting, word_dropout=0.4)
    wanted = {
        "ours": ("benchmarks.contestants.ours:Trainer", setting),
        "ours, word dropout 0.4": ("benchmarks.contestants.ours:Trainer", dropping),
        "literal complex JAX": ("benchmarks.contestants.literal:Trainer", setting),
        f"PyTorch, padded to {USUAL_PADDING}": (
            "benchmarks.contestants.torch_wave:Trainer",
            setting,
            USUAL_PADDING,
        ),
        f"PyTorch, padded to {USUAL_PADDING}, word dropout 0.4": (
            "benchmarks.contestants.torch_wave:Trainer",
            dropping,
            USUAL_PADDING,
        ),
        "PyTorch, our lengths": ("benchmarks.contestants.torch_wave:Trainer", setting),
    }
    turns = max(2, repeats // 3)
    with workers(report, wanted) as running:
        for worker in running.values():
            worker.ask("warm")
        running["ours"].ask("load", 0, _LOOP)
        counts = {n: _LOOP // 2 if n.startswith("ours") else _OTHERS for n in running}
        seconds = take_turns(
            {name: (worker, "epoch", (0, counts[name])) for name, worker in running.items()},
            turns,
        )
        ours = running["ours"]
        loop = take_turns(
            {"loop": (ours, "epoch", (0, _LOOP)), "device": (ours, "device_steps", ())}, turns
        )
    for name, values in seconds.items():
        rate = counts[name] * setting.batch_size / values
        report.figures[f"{name}, training"] = Figure.of(rate, "texts/s")
    dropped = "ours, word dropout 0.4"
    for name in seconds:
        ours_too = dropped if name.endswith("word dropout 0.4") and name != dropped else "ours"
        if name != ours_too:
            rate, other = (report.figures[f"{n}, training"].median for n in (ours_too, name))
            report.ratios[f"{ours_too} / {name}, texts per second"] = rate / other
    for name, values in loop.items():
        report.figures[f"{_LOOP} steps, {name}"] = Figure.of(values, "s")
    report.ratios["training loop / its device steps"] = float(
        Figure.of(loop["loop"] / loop["device"], "").median
    )
    _from_outside(report, setting)
    return report


def _from_outside(report: Report, setting: Setting) -> None:
    """Times `train.py`-like commands of few and of many steps: what differs is steps alone."""
    with tempfile.TemporaryDirectory() as folder:
        _command(setting, Path(folder, "warm"), 60)  # fills the caches on disk
        few = _command(setting, Path(folder, "few"), _FEW)
        many = _command(setting, Path(folder, "many"), _MANY)
        rows = Path(folder, "many", "metrics.jsonl").read_text().splitlines()
    rates = [row["examples_per_s"] for row in map(json.loads, rows) if row["split"] == "train"]
    rate = (_MANY - _FEW) * setting.batch_size / (many - few)
    report.facts[f"command of {_FEW} steps, s"] = few
    report.facts[f"command of {_MANY} steps, s"] = many
    report.facts["texts per second from outside, training command"] = rate
    inside = Figure.of(rates, "texts/s")
    report.figures["texts per second the command reports"] = inside
    report.ratios["from outside / as the command reports"] = rate / inside.median


def _command(setting: Setting, workdir: Path, steps: int) -> float:
    """Returns the seconds of a training command; one validation at its end."""
    data = setting.data
    arguments = [
        "--data.source", data.source, "--workdir", str(workdir), "--train.steps", str(steps),
        "--model.dim", str(setting.dim), "--train.batch-size", str(setting.batch_size),
        "--train.eval-every", "100000", "--train.checkpoint-every", "100000",
        "--model.word-dropout", str(setting.word_dropout), "--model.dropout", str(setting.dropout),
    ]  # fmt: skip
    if data.vocab is not None:
        arguments += ["--data.vocab", str(data.vocab)]
    start = time.perf_counter()
    subprocess.run(
        [sys.executable, "-m", "wave_jax", "train", *arguments],
        check=True,
        stdout=subprocess.DEVNULL,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)},
    )
    return time.perf_counter() - start
