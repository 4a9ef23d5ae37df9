"""Training with batches made and loaded: the loop against its device steps, and from outside."""

from __future__ import annotations

import dataclasses
import json
import tempfile
from pathlib import Path

from benchmarks import command
from benchmarks.report import Figure, Report
from benchmarks.setting import USUAL_PADDING, Setting
from benchmarks.step import LITERAL, TORCH, WAVE
from benchmarks.workers import Worker, take_turns, workers

_FEW, _MANY = 200, 800  # steps of the two trainings timed from outside
_LOOP = 100  # steps of a turn of the loop
_OURS, _OTHERS = 50, 5  # steps of a turn: others take longer
_DROPPING = ", word dropout 0.4"


def run(setting: Setting, repeats: int) -> Report:
    """Times training loops in turn, then whole trainings as commands."""
    report = Report()
    dropping = dataclasses.replace(setting, word_dropout=0.4)
    padded = f"PyTorch, padded to {USUAL_PADDING}"
    wanted = {
        "ours": (WAVE, setting),
        f"ours{_DROPPING}": (WAVE, dropping),
        "literal complex JAX": (LITERAL, setting),
        padded: (TORCH, setting, USUAL_PADDING),
        f"{padded}{_DROPPING}": (TORCH, dropping, USUAL_PADDING),
        "PyTorch, our lengths": (TORCH, setting),
    }
    turns = max(2, repeats // 3)
    with workers(wanted, report.notes) as running:
        for worker in running.values():
            worker.ask("warm_up")
        _compare(report, setting, running, turns)
        running["ours"].ask("load", 0, _LOOP)
        calls = {
            "loop": (running["ours"], "train", 0, _LOOP),
            "device": (running["ours"], "device_steps"),
        }
        seconds = take_turns(calls, turns)
    for name, values in seconds.items():
        report.add(f"{_LOOP} steps, {name}", values, "s")
    ratio = Figure.of(seconds["loop"] / seconds["device"], "")
    report.ratios["training loop / its device steps"] = ratio.median
    _time_commands(report, setting)
    return report


def _compare(report: Report, setting: Setting, running: dict[str, Worker], turns: int) -> None:
    """Times training in turn; what has word dropout is compared with ours that has it too."""
    steps = {name: _OURS if name.startswith("ours") else _OTHERS for name in running}
    calls = {name: (worker, "train", 0, steps[name]) for name, worker in running.items()}
    for name, values in take_turns(calls, turns).items():
        report.add(f"{name}, training", steps[name] * setting.batch_size / values, "texts/s")
    for name in running:
        ours = f"ours{_DROPPING}" if name.endswith(_DROPPING) else "ours"
        if name != ours:
            ratio = f"{ours} / {name}, texts per second"
            report.add_ratio(ratio, f"{ours}, training", f"{name}, training")


def _time_commands(report: Report, setting: Setting) -> None:
    """Times commands of few and of many steps: the difference is steps alone."""
    with tempfile.TemporaryDirectory() as folder:
        _train(setting, Path(folder, "warm"), 60)  # fills the caches on disk
        few = _train(setting, Path(folder, "few"), _FEW)
        many = _train(setting, Path(folder, "many"), _MANY)
        rows = Path(folder, "many", "metrics.jsonl").read_text("utf-8").splitlines()
    rates = [row["examples_per_s"] for row in map(json.loads, rows) if row["split"] == "train"]
    rate = (_MANY - _FEW) * setting.batch_size / (many - few)
    report.facts[f"command of {_FEW} steps, s"] = few
    report.facts[f"command of {_MANY} steps, s"] = many
    report.facts["texts per second from outside, training command"] = rate
    report.add("texts per second the command reports", rates, "texts/s")
    inside = report.figures["texts per second the command reports"].median
    report.ratios["from outside / as the command reports"] = rate / inside


def _train(setting: Setting, workdir: Path, steps: int) -> float:
    """Returns the seconds of a training command with one validation, at its end."""
    options = {
        "--train.steps": steps,
        "--train.batch-size": setting.batch_size,
        "--train.eval-every": 100_000,
        "--train.checkpoint-every": 100_000,
        "--model.dim": setting.dim,
        "--model.dropout": setting.dropout,
        "--model.word-dropout": setting.word_dropout,
    }
    return command.train(
        setting, workdir, *(str(word) for item in options.items() for word in item)
    )
