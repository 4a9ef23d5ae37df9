"""environment.json: with what, on what, and on which texts a run was made."""

from __future__ import annotations

import importlib.metadata
import json
import platform
import time
from pathlib import Path
from typing import Any

import jax

import wave_jax
from wave_jax.errors import UserError
from wave_jax.runs.files import write_whole

ENVIRONMENT_FILE = "environment.json"

_PACKAGES = (
    "jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "grain", "numpy", "tokenizers",
    "tensorflow-datasets",
)  # fmt: skip


def device_name() -> str:
    """Returns kind and number of the devices, as "cpu x 1"."""
    devices = jax.devices()
    return f"{devices[0].device_kind} x {len(devices)}"


def record_environment(workdir: Path, *, data_hash: str, data: str) -> None:
    """Writes environment.json, or compares the texts with those of the run that is gone on with.

    Args:
        data_hash: of all texts, labels and the cut.
        data: where they come from, one line.

    Raises:
        UserError: the texts have changed since the run began.
    """
    path = workdir / ENVIRONMENT_FILE
    if path.is_file():
        check_unchanged(workdir, data_hash=data_hash, data=data)
        return
    facts: dict[str, Any] = {
        "started": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
        "wave_jax": wave_jax.__version__,
        "python": platform.python_version(),
        "packages": {name: _version(name) for name in _PACKAGES},
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

    Changed texts are cut into other parts: some that were trained on would be tested on.
    """
    path = workdir / ENVIRONMENT_FILE
    if json.loads(path.read_text(encoding="utf-8"))["data_hash"] != data_hash:
        raise UserError(
            f"the texts have changed since the run in {workdir} began ({data}): bring the old "
            "ones back, start anew with another --workdir, or evaluate on a file of its own with "
            "--data.test"
        )


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None
