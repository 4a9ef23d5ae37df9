"""Records of measurements: one JSON file each, never overwritten, all of one version."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import flax
import jax
import numpy as np
import optax

import wave_jax
from wave_jax.errors import UserError
from wave_jax.experiments.about import IN_REPORT, check_about, join_about
from wave_jax.runs.environment import device_name

FORMAT = 1  # raised when records change their meaning
ABOUT = "about.json"
_PARTS = {"config": dict, "seed": int, "result": dict, "time": dict, "environment": dict}
_FOLDERS = ("records", "work", "figures")
_AGAIN = "delete it to measure again"


class Records:
    """The records in `folder/records`, and `folder/about.json` that says what they are of.

    A record holds `config` (all that decides it), `seed`, `result` (the same for the same seed on a
    CPU), `time` and `environment`.
    """

    def __init__(self, folder: Path) -> None:
        """Opens a folder, new or used.

        Raises:
            UserError: it holds records of another version, is no folder of records, or cannot be
                written to.
        """
        self.folder = folder
        _check_place(folder)
        self.about: dict[str, Any] | None = None
        path = folder / ABOUT
        if path.is_file():
            self.about = _object(path, "mend it, or give another --out")
            _check_version(self.about, folder)
            check_about(self.about, path)
        elif folder.is_dir() and any(entry.name != "work" for entry in folder.iterdir()):
            raise UserError(
                f"{folder} is not empty and holds no {ABOUT}: give a new or empty folder as --out"
            )

    def claim(self, about: Mapping[str, Any]) -> None:
        """Writes about.json, or joins it with the one that is there, see `join_about`.

        Args:
            about: 'scale', 'datasets', 'pretrained', 'seeds' and 'environment'.

        Raises:
            UserError: the folder holds records of other texts, or another scale or checkpoint.
        """
        wanted = {"format": FORMAT, "wave_jax": wave_jax.__version__, **about}
        if self.about is not None:
            wanted = join_about(self.about, wanted, self.folder)
        if wanted != self.about:
            _write(self.folder / ABOUT, wanted)
            self.about = wanted

    def find(self, key: str) -> dict[str, Any] | None:
        """Returns a record, or None if it is still to be made.

        Raises:
            UserError: it cannot be read, is not whole, or is of another version.
        """
        path = self._path(key)
        if not path.is_file():
            return None
        record = _object(path, _AGAIN)
        _check_version(record, path)
        damaged = [name for name, kind in _PARTS.items() if not isinstance(record.get(name), kind)]
        if not damaged and type(record["time"].get("total_seconds")) not in (int, float):
            damaged = ["total_seconds"]
        if not damaged:
            damaged = [name for name in IN_REPORT if name not in record["environment"]]
        if damaged:
            raise UserError(
                f"{path} is not whole, its {damaged[0]} is missing or damaged: {_AGAIN}"
            )
        return record

    def save(
        self,
        key: str,
        *,
        config: Mapping[str, Any],
        seed: int,
        result: Mapping[str, Any],
        time: Mapping[str, Any],
    ) -> None:
        """Writes a record, whole or not at all; `time` holds total_seconds and more."""
        record = {
            "format": FORMAT,
            "wave_jax": wave_jax.__version__,
            "key": key,
            "config": config,
            "seed": seed,
            "result": result,
            "time": time,
            "environment": environment(),
        }
        _write(self._path(key), record)

    def _path(self, key: str) -> Path:
        return self.folder / "records" / f"{key}.json"


def environment() -> dict[str, Any]:
    """Returns versions and hardware, without anything that names the machine."""
    return {
        "python": platform.python_version(),
        "jax": jax.__version__,
        "flax": flax.__version__,
        "optax": optax.__version__,
        "numpy": np.__version__,
        "system": platform.system(),
        "machine": platform.machine(),
        "backend": jax.default_backend(),
        "device": device_name(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else None,
    }


def _write(path: Path, content: Mapping[str, Any]) -> None:
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        partial.write_text(json.dumps(content, indent=1, sort_keys=True) + "\n", encoding="utf-8")
        partial.replace(path)
    except OSError as error:
        raise UserError(f"{path} cannot be written: {error.strerror}") from error


def _check_place(folder: Path) -> None:
    """Refuses before anything is measured a folder that nothing could be written to."""
    there = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    if not there.is_dir():
        within = "" if there == folder else f", so {folder} cannot be made"
        raise UserError(f"{there} is a file{within}: expected a folder for --out")
    if not os.access(there, os.W_OK | os.X_OK):
        raise UserError(f"{there} cannot be written to: give another --out")
    for path in (folder / name for name in _FOLDERS):
        if path.exists() and not path.is_dir():
            raise UserError(f"{path} is a file, expected a folder: give another --out")


def _object(path: Path, mend: str) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise UserError(f"{path} cannot be read as JSON ({error}): {mend}") from None
    if not isinstance(found, dict):
        raise UserError(f"{path} is not a JSON object: {mend}")
    return found


def _check_version(found: Mapping[str, Any], where: Path) -> None:
    for name, wanted in (("format", FORMAT), ("wave_jax", wave_jax.__version__)):
        if found.get(name) != wanted:
            what = "format" if name == "format" else "wave_jax"
            raise UserError(
                f"{where} was written by another version ({what} {found.get(name)}, this is "
                f"{wanted}): give another --out"
            )
