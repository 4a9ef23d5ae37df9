"""TensorBoard and Weights & Biases, where asked for; neither is a dependency."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from wave_jax.errors import UserError
from wave_jax.training.log import Writer


def check_trackers(*, tensorboard: bool, wandb: bool) -> None:
    """Raises UserError where the package of one that is asked for is not installed."""
    for wanted, package in ((tensorboard, "tensorboardX"), (wandb, "wandb")):
        if wanted:
            _import(package)


def make_trackers(
    workdir: Path, config: Mapping[str, Any], *, tensorboard: bool, wandb: bool
) -> list[Writer]:
    """Returns the writers asked for, of which `check_trackers` was content."""
    trackers: list[Writer] = []
    if tensorboard:
        trackers.append(_TensorBoard(workdir))
    if wandb:
        trackers.append(_WandB(workdir, config))
    return trackers


class _TensorBoard:
    def __init__(self, workdir: Path) -> None:
        package = _import("tensorboardX")
        self._writer = package.SummaryWriter(str(workdir / "tensorboard"))

    def write(self, row: Mapping[str, Any]) -> None:
        for name, value in _numbers(row).items():
            self._writer.add_scalar(f"{row['split']}/{name}", value, row["step"])

    def close(self) -> None:
        self._writer.close()


class _WandB:
    def __init__(self, workdir: Path, config: Mapping[str, Any]) -> None:
        package = _import("wandb")
        name = workdir.resolve().name
        self._run = package.init(
            project="wave_jax", name=name, dir=str(workdir), config=dict(config), resume="allow"
        )

    def write(self, row: Mapping[str, Any]) -> None:
        values = {f"{row['split']}/{name}": value for name, value in _numbers(row).items()}
        self._run.log(values | {"step": row["step"]})

    def close(self) -> None:
        self._run.finish()


def _import(package: str) -> Any:
    try:
        return importlib.import_module(package)
    except ImportError:
        option = f"--train.{package.removesuffix('X')}"
        raise UserError(f"{option} needs a package: pip install {package}") from None


def _numbers(row: Mapping[str, Any]) -> dict[str, float]:
    return {k: v for k, v in row.items() if k != "step" and isinstance(v, int | float)}
