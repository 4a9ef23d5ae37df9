"""The folder of a run: whose it is, its lock, and what it keeps of environment and data."""

from __future__ import annotations

import dataclasses
import fcntl
import importlib.metadata
import json
import platform
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import jax
import numpy as np

import wave_jax
from wave_jax.data.config import DataConfig
from wave_jax.data.dataset import Dataset
from wave_jax.errors import UserError
from wave_jax.runs.files import CONFIG_FILE, differences, load_config, save_config, write_whole
from wave_jax.training.config import Config
from wave_jax.training.metrics import NonFiniteError

ENVIRONMENT_FILE, SUMMARY_FILE = "environment.json", "summary.json"
SNAPSHOT = "corpus"  # a copy of texts that exist nowhere else as files
_NONFINITE = "nonfinite"
_PACKAGES = (
    *("jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "numpy", "tokenizers"),
    "tensorflow-datasets",
)


def claim(workdir: Path, config: Config) -> Literal["new", "unfinished", "finished"]:
    """Creates the folder or checks that it is this run's; returns the state of the run.

    A new or empty folder gets config.json. UserError where the folder holds something else or a run
    whose configuration differs in more than paths, devices and trackers.
    """
    try:
        if workdir.is_file():
            raise UserError(f"{workdir} is a file: expected a folder for --workdir")
        if not (workdir / CONFIG_FILE).is_file():
            workdir.mkdir(parents=True, exist_ok=True)
            if any(path.suffix != ".part" for path in workdir.iterdir()):  # a killed process's
                raise UserError(
                    f"{workdir} is not empty and not the folder of a run (no {CONFIG_FILE} in it): "
                    "give a new or empty folder as --workdir"
                )
            save_config(config, workdir)
            return "new"
    except OSError as error:
        raise UserError(f"cannot write to --workdir {workdir}: {error.strerror}") from None
    if different := differences(load_config(workdir), config):
        raise UserError(
            f"{workdir} holds a run of another configuration ({'; '.join(different)}): give the "
            "same options to resume it, or another --workdir. A run cannot be made longer by "
            "raising epochs or steps, as its schedule depends on them"
        )
    return "finished" if (workdir / SUMMARY_FILE).is_file() else "unfinished"


@contextmanager
def locked(workdir: Path) -> Iterator[None]:
    """Locks a claimed folder; UserError if another training has done so.

    The lock is the operating system's, on config.json: it ends with the process, however that ends.
    """
    with (workdir / CONFIG_FILE).open("r+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UserError(
                f"another training is running in {workdir}: wait for it, stop it, or give another "
                "--workdir"
            ) from None
        except OSError:  # a file system without locks: better without than not at all
            pass
        yield


def check_shared(workdir: Path) -> None:
    """Raises UserError where this process does not see the folder that process 0 made."""
    if not (workdir / CONFIG_FILE).is_file():
        raise UserError(
            f"process {jax.process_index()} does not see {workdir.absolute()} / {CONFIG_FILE} that "
            "process 0 wrote: several processes need a --workdir that all of them share"
        )


def device_name() -> str:
    """Returns kind and number of the devices, as "cpu x 1"."""
    devices = jax.devices()
    return f"{devices[0].device_kind} x {len(devices)}"


def record_environment(workdir: Path, dataset: Dataset) -> None:
    """Writes environment.json, or compares the texts with those of the run that is resumed."""
    path = workdir / ENVIRONMENT_FILE
    if path.is_file():
        check_unchanged(workdir, dataset)
        return
    facts = {
        "started": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
        "wave_jax": wave_jax.__version__,
        "python": platform.python_version(),
        "packages": {package: importlib.metadata.version(package) for package in _PACKAGES},
        "platform": platform.platform(),
        "backend": jax.default_backend(),
        "device": device_name(),
        "processes": jax.process_count(),
        "data": dataset.description,
        "data_hash": dataset.fingerprint,
    }
    write_whole(path, json.dumps(facts, indent=2) + "\n")


def check_unchanged(workdir: Path, dataset: Dataset) -> None:
    """Raises UserError if the texts are not those that environment.json was written for.

    Changed texts are split differently: some that were trained on would be tested on.
    """
    recorded = json.loads((workdir / ENVIRONMENT_FILE).read_text(encoding="utf-8"))
    if recorded["data_hash"] != dataset.fingerprint:
        raise UserError(
            f"the texts have changed since the run in {workdir} began ({dataset.description}): "
            "bring the old ones back, start anew with another --workdir, or evaluate on a file of "
            "its own with --data.test"
        )


def with_snapshot(data: DataConfig, workdir: Path) -> DataConfig:
    """Returns the data options, with the workdir's snapshot of docstrings as source if any."""
    folder = workdir / SNAPSHOT
    kept = data.source == "docstrings" and (folder / "labels.json").is_file()
    return dataclasses.replace(data, source=str(folder)) if kept else data


def save_batch(workdir: Path, batches: Any, error: NonFiniteError, process: int) -> Path:
    """Writes the batch at which `error` occurred, this process's rows; returns its file."""
    folder = workdir / _NONFINITE
    folder.mkdir(exist_ok=True)
    path = folder / f"batch-{error.step + 1}-{process}.npz"
    np.savez_compressed(path, **batches.batch(error.step)._asdict())
    if process == 0:
        texts = batches.examples(error.step).tolist()
        facts = {"step": error.step, "groups": error.groups, "saved": error.saved, "texts": texts}
        write_whole(folder / f"step-{error.step + 1}.json", json.dumps(facts) + "\n")
    return path
