"""Trainings in processes of their own, tiny enough to be killed by the dozen."""

from __future__ import annotations

import dataclasses
import json
import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from wave_jax.runs.metrics_log import read_rows

ROOT = Path(__file__).parents[2]
WORDS = {"sea": "wave tide salt boat", "land": "hill tree road farm", "sky": "cloud wind star bird"}
TINY = [
    *[
        "--preset",
        "paper",
        "--model.dim",
        "16",
        "--model.ffn-dim",
        "16",
        "--train.batch-size",
        "32",
    ],
    *["--train.learning-rate", "0.03", "--train.log-every", "4", "--train.epochs", "4"],
]


@dataclasses.dataclass(frozen=True)
class Place:
    """Where trainings of one kind happen: their texts, and programs compiled once for all."""

    folder: Path
    program: tuple[str, ...] = (str(ROOT / "train.py"),)
    """The script, and what comes before the options."""

    def command(self, workdir: Path, *options: str) -> list[str]:
        """The command line of a training."""
        given = ["--data.source", str(self.folder / "texts.jsonl"), "--workdir", str(workdir)]
        return [sys.executable, "-u", *self.program, *given, *TINY, *options]

    def variables(self, devices: int = 1) -> dict[str, str]:
        """The environment of a training."""
        return dict(os.environ) | {
            "XDG_CACHE_HOME": str(self.folder / "cache"),
            "JAX_COMPILATION_CACHE_DIR": str(self.folder / "compiled"),
            "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
            "JAX_PLATFORMS": "cpu",
            "XLA_FLAGS": f"--xla_force_host_platform_device_count={devices}",
            "PYTHONPATH": str(ROOT),
            "COLUMNS": "200",
        }

    def start(self, workdir: Path, *options: str, devices: int = 1) -> subprocess.Popen[str]:
        """Starts a training."""
        return subprocess.Popen(
            self.command(workdir, *options),
            env=self.variables(devices),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def start_several(
        self, workdir: Path, *options: str, processes: int = 2
    ) -> list[subprocess.Popen[str]]:
        """Starts several processes of one training."""
        shared = ["--distributed", "--distributed.coordinator", f"localhost:{free_port()}"]
        shared += ["--distributed.processes", str(processes), "--distributed.timeout", "10"]
        return [
            self.start(workdir, *options, *shared, "--distributed.process", str(number))
            for number in range(processes)
        ]


def write_texts(path: Path, count: int = 400) -> None:
    """Writes texts of three kinds that are easy to tell apart."""
    rng = np.random.default_rng(0)
    with path.open("w", encoding="utf-8") as file:
        for index in range(count):
            label = list(WORDS)[index % 3]
            words = rng.choice([*WORDS[label].split(), "the", "a", "of"], rng.integers(3, 12))
            file.write(json.dumps({"text": " ".join(words), "label": label}) + "\n")


def free_port() -> int:
    """Returns a port that nobody listens at."""
    with socket.socket() as found:
        found.bind(("localhost", 0))
        return int(found.getsockname()[1])


def finish(
    processes: Sequence[subprocess.Popen[str]], timeout: float = 120
) -> list[tuple[int, str, str]]:
    """Returns status, stdout and stderr of each, once all have ended."""
    deadline, found = time.monotonic() + timeout, []
    try:
        for process in processes:
            out, err = process.communicate(timeout=deadline - time.monotonic())
            found.append((process.returncode, out, err))
    finally:
        for process in processes:
            process.kill()
    return found


def wait_for(condition: Callable[[], object], seconds: float = 120) -> None:
    """Returns once `condition()` holds; fails after `seconds`."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not come to that"
        time.sleep(0.01)


def steps_logged(workdir: Path) -> list[int]:
    """Returns the steps of the training rows."""
    return [row["step"] for row in read_rows(workdir) if row["split"] == "train"]


def resumed_at(out: str) -> int:
    """Returns the step from which a training says that it goes on; 0 where it started."""
    found = re.search(r"Resuming from the checkpoint of step ([\d,]+)", out)
    return int(found[1].replace(",", "")) if found else 0


def leaves(tree: object) -> list[np.ndarray]:
    """Returns the arrays of nested dicts, by name."""
    if not isinstance(tree, dict):
        return [np.asarray(tree)]
    return [leaf for name in sorted(tree) for leaf in leaves(tree[name])]
