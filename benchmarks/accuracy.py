"""Accuracy of our path, with row-wise and dense AdamW, beside the plain path's: three seeds."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

from benchmarks.data import Setting
from benchmarks.report import Figure, Report

SEEDS = (0, 1, 2)
_DIM, _EPOCHS = 256, 2
_PATHS = {
    "ours, row-wise AdamW": ("wave_jax", "train"),
    "ours, dense AdamW": ("wave_jax", "train", "--train.table-optimizer", "dense"),
    "plain path, dense AdamW": ("benchmarks.plain_training",),
}


def run(setting: Setting, repeats: int) -> Report:
    """Trains each from the same seeds, on the same batches, and compares test accuracies."""
    report = Report()
    found: dict[str, list[float]] = {name: [] for name in _PATHS}
    for seed in SEEDS:
        for name, command in _PATHS.items():
            found[name].append(100 * _trained(setting, command, seed))
            print(f"  seed {seed}, {name}: {found[name][-1]:.2f} %", file=sys.stderr, flush=True)
    for name, values in found.items():
        report.figures[name] = Figure.of(values, "%")
        report.facts[f"{name}: mean and standard deviation, %"] = (
            f"{np.mean(values):.2f} +- {np.std(values, ddof=1):.2f}"
        )
    first, *others = found
    for other in others:
        report.facts[f"{first} less {other}, points"] = float(
            np.mean(found[first]) - np.mean(found[other])
        )
    report.notes.append(f"{_DIM} dimensions, {_EPOCHS} epochs, seeds {SEEDS}")
    return report


def _trained(setting: Setting, command: tuple[str, ...], seed: int) -> float:
    data = setting.data
    with tempfile.TemporaryDirectory() as folder:
        workdir = Path(folder, "run")
        arguments = [
            "--data.source", data.source, "--workdir", str(workdir), "--seed", str(seed),
            "--model.dim", str(_DIM), "--train.epochs", str(_EPOCHS),
            *(["--data.vocab", str(data.vocab)] if data.vocab else []),
        ]  # fmt: skip
        subprocess.run(
            [sys.executable, "-m", *command, *arguments],
            check=True,
            stdout=subprocess.DEVNULL,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)},
        )
        accuracy: float = json.loads((workdir / "summary.json").read_text())["test_accuracy"]
    return accuracy
