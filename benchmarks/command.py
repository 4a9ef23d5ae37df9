"""`wave_jax train`, run as a command."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks.setting import Setting


def train(
    setting: Setting,
    workdir: Path,
    *options: str,
    command: Sequence[str] = ("wave_jax", "train"),
) -> float:
    """Trains on the setting's texts; returns the seconds that the command took.

    Args:
        setting: of which data and preset count.
        workdir: a new folder.
        options: more options of the training.
        command: the module to run, and its first arguments.
    """
    data = setting.data
    given = ["--preset", setting.preset, "--train.no-baseline", "--data.source", data.source]
    given += ["--workdir", str(workdir), *options]
    if data.vocab is not None:
        given += ["--data.vocab", str(data.vocab)]
    start = time.perf_counter()
    subprocess.run(
        [sys.executable, "-m", *command, *given],
        check=True,
        stdout=subprocess.DEVNULL,
        env=environment(),
    )
    return time.perf_counter() - start


def environment() -> dict[str, str]:
    """Returns the variables of a command that imports from where this process does."""
    return {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
