"""metrics.jsonl, appended while training and trimmed at resume; curves; trackers; a bad batch."""

from __future__ import annotations

import dataclasses
import importlib.util
import json
import math
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from wave_jax.errors import UserError
from wave_jax.runs.files import write_whole
from wave_jax.training.callbacks import MetricsWriter
from wave_jax.training.config import Config, TrainConfig
from wave_jax.training.metrics import NonFiniteError

METRICS_FILE, CURVES_FILE = "metrics.jsonl", "curves.png"

_SPLIT_STYLES: dict[str, dict[str, Any]] = {
    "train": {"color": "#7a9cc6", "marker": ".", "markersize": 2},
    "validation": {"color": "#c0392b", "marker": "o", "markersize": 4},
}


class MetricsLog:
    """Appends rows to `workdir/metrics.jsonl`; each is on disk for any reader once written."""

    def __init__(self, workdir: Path) -> None:
        self._file = (workdir / METRICS_FILE).open("a", encoding="utf-8")
        self.close = self._file.close

    def write(self, row: Mapping[str, Any]) -> None:
        """Appends a row; numbers that are not finite become null, as JSON has none."""
        plain = {
            name: None if isinstance(value, float) and not math.isfinite(value) else value
            for name, value in row.items()
        }
        self._file.write(json.dumps(plain) + "\n")
        self._file.flush()


def read_rows(workdir: Path) -> list[dict[str, Any]]:
    """Returns the rows of metrics.jsonl, without a last line cut short by a crash."""
    path = Path(workdir) / METRICS_FILE
    rows: list[dict[str, Any]] = []
    for line in path.read_text(encoding="utf-8").splitlines() if path.exists() else ():
        with suppress(ValueError):
            rows.append(json.loads(line))
    return rows


def trim(workdir: Path, step: int) -> None:
    """Drops the rows after `step`, which the resumed run will write again."""
    kept = [json.dumps(row) + "\n" for row in read_rows(workdir) if row["step"] <= step]
    write_whole(workdir / METRICS_FILE, "".join(kept))


def draw_curves(workdir: Path) -> None:
    """Writes `workdir/curves.png`: loss and accuracy of training and validation by step."""
    # A Figure of its own needs no display and leaves pyplot's global state alone.
    from matplotlib.figure import Figure

    figure, rows = Figure(figsize=(9, 3.6), dpi=140, layout="constrained"), read_rows(workdir)
    for axes, name in zip(figure.subplots(1, 2), ("loss", "accuracy"), strict=True):
        for split, style in _SPLIT_STYLES.items():
            chosen = [row for row in rows if row["split"] == split and row[name] is not None]
            values = [row[name] for row in chosen]
            axes.plot([row["step"] for row in chosen], values, label=split, **style)
        axes.set(xlabel="step", ylabel=name)
        axes.grid(alpha=0.3)
        axes.spines[["top", "right"]].set_visible(False)
        axes.legend(frameon=False, fontsize=8)
    figure.savefig(workdir / CURVES_FILE)


def check_trackers(config: TrainConfig) -> None:
    """Raises UserError where the package of a tracker asked for is not installed."""
    for option, (package, _) in _TRACKERS.items():
        if getattr(config, option) and importlib.util.find_spec(package) is None:
            raise UserError(f"--train.{option} needs a package: pip install {package}")


def make_writers(workdir: Path, config: Config) -> list[MetricsWriter]:
    """Returns the log and the trackers asked for."""
    wanted = [make for option, (_, make) in _TRACKERS.items() if getattr(config.train, option)]
    return [MetricsLog(workdir), *(make(workdir, config) for make in wanted)]


class _TensorBoard:
    def __init__(self, workdir: Path, config: Config) -> None:
        from tensorboardX import SummaryWriter

        self._writer = SummaryWriter(str(workdir / "tensorboard"))
        self.close = self._writer.close

    def write(self, row: Mapping[str, Any]) -> None:
        for name, value in _numbers(row).items():
            self._writer.add_scalar(name, value, row["step"])


class _WandB:
    def __init__(self, workdir: Path, config: Config) -> None:
        import wandb

        options = {"dir": str(workdir), "config": dataclasses.asdict(config), "resume": "allow"}
        self._run = wandb.init(project="wave_jax", name=workdir.resolve().name, **options)
        self.close = self._run.finish

    def write(self, row: Mapping[str, Any]) -> None:
        self._run.log(_numbers(row) | {"step": row["step"]})


# by option: the package that it needs, and what writes to it
_TRACKERS: dict[str, tuple[str, Callable[[Path, Config], MetricsWriter]]] = {
    "tensorboard": ("tensorboardX", _TensorBoard),
    "wandb": ("wandb", _WandB),
}


def _numbers(row: Mapping[str, Any]) -> dict[str, float]:
    """Returns the row's numbers as SPLIT/NAME."""
    numbers = {k: v for k, v in row.items() if k != "step" and isinstance(v, int | float)}
    return {f"{row['split']}/{name}": value for name, value in numbers.items()}


def save_batch(workdir: Path, batches: Any, error: NonFiniteError, process: int) -> Path:
    """Writes the batch at which `error` occurred, this process's rows; returns its file."""
    folder = workdir / "nonfinite"
    folder.mkdir(exist_ok=True)
    path = folder / f"batch-{error.step + 1}-{process}.npz"
    np.savez_compressed(path, **batches.batch(error.step)._asdict())
    if process == 0:
        texts = batches.examples(error.step).tolist()
        facts = {"step": error.step, "groups": error.groups, "saved": error.saved, "texts": texts}
        write_whole(folder / f"step-{error.step + 1}.json", json.dumps(facts) + "\n")
    return path
