"""Accuracy with sparse and dense AdamW beside the plain path's: three seeds each.

python -m benchmarks.accuracy ARGUMENTS   `python -m wave_jax ARGUMENTS` on the plain path: every
                                          token projected, autodiff, dense AdamW
"""

from __future__ import annotations

import json
import runpy
import sys
import tempfile
from pathlib import Path

import numpy as np

from benchmarks import command
from benchmarks.report import Report
from benchmarks.setting import Setting
from wave_jax.models import WaveClassifier

SEEDS = (0, 1, 2)
_DIM, _EPOCHS = 256, 2
_OURS = ("wave_jax", "train")
_PATHS = {
    "ours, row-wise AdamW": (_OURS, ()),
    "ours, dense AdamW": (_OURS, ("--train.table-optimizer", "dense")),
    "plain path, dense AdamW": (("benchmarks.accuracy", "train"), ()),
}


def run(setting: Setting, repeats: int) -> Report:
    """Trains each from the same seeds, on the same batches, and compares test accuracies."""
    del repeats
    report = Report()
    accuracies: dict[str, list[float]] = {name: [] for name in _PATHS}
    for seed in SEEDS:
        for name, values in accuracies.items():
            values.append(100 * _accuracy(setting, name, seed))
            print(f"  seed {seed}, {name}: {values[-1]:.2f} %", file=sys.stderr, flush=True)
    for name, values in accuracies.items():
        report.add(name, values, "%")
        spread = f"{np.mean(values):.2f} +- {np.std(values, ddof=1):.2f}"
        report.facts[f"{name}: mean and standard deviation, %"] = spread
    first, *others = accuracies
    for other in others:
        difference = np.mean(accuracies[first]) - np.mean(accuracies[other])
        report.facts[f"{first} less {other}, points"] = float(difference)
    report.notes.append(f"{_DIM} dimensions, {_EPOCHS} epochs, seeds {SEEDS}")
    return report


def _accuracy(setting: Setting, name: str, seed: int) -> float:
    """Returns the test accuracy of one training."""
    module, options = _PATHS[name]
    sizes = ("--seed", str(seed), "--model.dim", str(_DIM), "--train.epochs", str(_EPOCHS))
    with tempfile.TemporaryDirectory() as folder:
        workdir = Path(folder, "run")
        command.train(setting, workdir, *sizes, *options, command=module)
        accuracy: float = json.loads((workdir / "summary.json").read_text())["test_accuracy"]
    return accuracy


def use_plain_path() -> None:
    """Leaves waves the methods that compute with ids alone."""
    for owner in WaveClassifier.__mro__:
        for name in {"logits_from_rows", "logits_from_distinct"} & vars(owner).keys():
            delattr(owner, name)


if __name__ == "__main__":
    use_plain_path()
    runpy.run_module("wave_jax", run_name="__main__")
