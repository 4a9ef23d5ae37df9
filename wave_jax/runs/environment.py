"""environment.json: the versions, device and data that a run was made with."""

from __future__ import annotations

import importlib.metadata
import json
import platform
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import jax

import wave_jax
from wave_jax.errors import UserError
from wave_jax.runs.files import write_whole

ENVIRONMENT_FILE = "environment.json"

_PACKAGES = (
    "jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "numpy", "tokenizers",
    "tensorflow-datasets",
)  # fmt: skip


def device_name() -> str:
    """Returns kind and number of the devices, as "cpu x 1"."""
    devices = jax.devices()
    return f"{devices[0].device_kind} x {len(devices)}"


def record_environment(workdir: Path, *, data_hash: str, data: str) -> None:
    """Writes environment.json, or compares the texts with those of the run that is resumed.

    `data_hash` is of all texts, labels and the split; `data` names their source in one line.

    Raises:
        UserError: the texts have changed since the run began.
    """
    path = workdir / ENVIRONMENT_FILE
    if path.is_file():
        check_unchanged(workdir, data_hash=data_hash, data=data)
        return
    versions: dict[str, str | None] = dict.fromkeys(_PACKAGES)
    for package in _PACKAGES:
        with suppress(importlib.metadata.PackageNotFoundError):
            versions[package] = importlib.metadata.version(package)
    facts: dict[str, Any] = {
        "started": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
        "wave_jax": wave_jax.__version__,
        "python": platform.python_version(),
        "packages": versions,
        "platform": platform.platform(),
        "backend": jax.default_backend(),
        "device": device_name(),
        "processes": jax.process_count(),
        "data": data,
        "data_hash": data_hash,
    }
    write_whole(path, json.dumps(facts, indent=2) + "\n")


def check_unchanged(workdir: Path, *, data_hash: str, data: str) -> None:
    """Raises UserError if the texts are not those that environment.json was written for.

    Changed texts are split differently: some that were trained on would be tested on.
    """
    path = workdir / ENVIRONMENT_FILE
    if json.loads(path.read_text(encoding="utf-8"))["data_hash"] != data_hash:
        raise UserError(
            f"the texts have changed since the run in {workdir} began ({data}): bring the old "
            "ones back, start anew with another --workdir, or evaluate on a file of its own with "
            "--data.test"
        )
