"""metrics.jsonl, appended while training and trimmed to the checkpoint at resume; trackers."""

from __future__ import annotations

import importlib
import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from wave_jax.errors import UserError
from wave_jax.runs.files import write_whole
from wave_jax.training.callbacks import MetricsWriter

METRICS_FILE = "metrics.jsonl"


class MetricsLog:
    """Appends rows to `workdir/metrics.jsonl`; each is on disk for any reader once written."""

    def __init__(self, workdir: Path) -> None:
        self._file = (workdir / METRICS_FILE).open("a", encoding="utf-8")

    def write(self, row: Mapping[str, Any]) -> None:
        """Appends a row; numbers that are not finite become null, as JSON has none."""
        plain = {
            name: None if isinstance(value, float) and not math.isfinite(value) else value
            for name, value in row.items()
        }
        self._file.write(json.dumps(plain) + "\n")
        self._file.flush()

    def close(self) -> None:
        """Closes the file."""
        self._file.close()


def read_rows(workdir: Path) -> list[dict[str, Any]]:
    """Returns the rows of metrics.jsonl, without a last line cut short by a crash."""
    path = Path(workdir) / METRICS_FILE
    if not path.exists():
        return []
    rows = []
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        try:
            row = json.loads(line)
        except ValueError:
            continue
        if isinstance(row, dict) and isinstance(row.get("step"), int):
            rows.append(row)
    return rows


def trim(workdir: Path, step: int) -> None:
    """Drops the rows after `step`, which the resumed run will write again."""
    path = workdir / METRICS_FILE
    if path.exists():
        kept = [row for row in read_rows(workdir) if row["step"] <= step]
        write_whole(path, "".join(json.dumps(row) + "\n" for row in kept))


def make_trackers(
    workdir: Path, config: Mapping[str, Any], *, tensorboard: bool, wandb: bool
) -> list[MetricsWriter]:
    """Returns the trackers asked for; UserError where the package of one is not installed."""
    trackers: list[MetricsWriter] = []
    if tensorboard:
        trackers.append(_TensorBoard(workdir))
    if wandb:
        trackers.append(_WandB(workdir, config))
    return trackers


def check_trackers(*, tensorboard: bool, wandb: bool) -> None:
    """Raises UserError where the package of a tracker asked for is not installed."""
    for wanted, package in ((tensorboard, "tensorboardX"), (wandb, "wandb")):
        if wanted:
            _import(package)


class _TensorBoard:
    def __init__(self, workdir: Path) -> None:
        self._writer = _import("tensorboardX").SummaryWriter(str(workdir / "tensorboard"))

    def write(self, row: Mapping[str, Any]) -> None:
        for name, value in _numbers(row).items():
            self._writer.add_scalar(name, value, row["step"])

    def close(self) -> None:
        self._writer.close()


class _WandB:
    def __init__(self, workdir: Path, config: Mapping[str, Any]) -> None:
        options = {"dir": str(workdir), "config": dict(config), "resume": "allow"}
        name = workdir.resolve().name
        self._run = _import("wandb").init(project="wave_jax", name=name, **options)

    def write(self, row: Mapping[str, Any]) -> None:
        self._run.log(_numbers(row) | {"step": row["step"]})

    def close(self) -> None:
        self._run.finish()


def _import(package: str) -> Any:
    try:
        return importlib.import_module(package)
    except ImportError:
        option = f"--train.{package.removesuffix('X')}"
        raise UserError(f"{option} needs a package: pip install {package}") from None


def _numbers(row: Mapping[str, Any]) -> dict[str, float]:
    """Returns the row's numbers as SPLIT/NAME."""
    numbers = {k: v for k, v in row.items() if k != "step" and isinstance(v, int | float)}
    return {f"{row['split']}/{name}": value for name, value in numbers.items()}
