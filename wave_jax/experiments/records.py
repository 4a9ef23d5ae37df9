"""Records of measurements: one JSON file each, never overwritten, all written by one version."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

import jax

import wave_jax
from wave_jax.errors import UserError
from wave_jax.runs.files import write_whole
from wave_jax.runs.workdir import device_name

ABOUT = "about.json"
_ELSEWHERE = "give another --out"
_VERSION = {"format": 1, "wave_jax": wave_jax.__version__}  # 1 until records change their meaning
_REPORTED = ("device", "machine", "cores", "python", "jax", "flax", "optax")
_KEYS = {"config": (), "result": (), "time": ("total_seconds",), "environment": _REPORTED}


class Records:
    """The records in `folder/records`, and `folder/about.json`, which says what they are of.

    Records hold `config`, `seed`, `result` (the same for the same two), `time`, `environment`.
    """

    def __init__(self, folder: Path) -> None:
        """Opens a new folder or one with records; UserError if it is of anything else."""
        self.folder = folder
        self._found: dict[str, dict[str, Any]] = {}
        self.about: dict[str, Any] | None = None
        if (folder / ABOUT).is_file():
            self.about = _read(folder / ABOUT, _ELSEWHERE)
        elif folder.is_dir() and any(entry.name != "work" for entry in folder.iterdir()):
            what = f"{folder} is not empty and holds no {ABOUT}"
            raise UserError(f"{what}: give a new or empty folder as --out")

    def claim(self, about: Mapping[str, Any]) -> dict[str, Any]:
        """Writes about.json or extends it; UserError if it has another scale or other texts."""
        wanted = {**_VERSION, **about}
        if self.about is not None:
            wanted = self._extended(self.about, wanted)
        if wanted != self.about:
            _write(self.folder / ABOUT, wanted)
        self.about = wanted
        return wanted

    def find(self, key: str) -> dict[str, Any] | None:
        """Returns a record, or None if it has not been made; UserError if it is damaged."""
        if key in self._found:
            return self._found[key]
        path = self.folder / "records" / f"{key}.json"
        if not path.is_file():
            return None
        record = _read(path, advice := "delete it to measure again")
        for name, keys in _KEYS.items():
            part = record.get(name)
            if not isinstance(part, dict) or not part.keys() >= set(keys):
                raise UserError(f"{path}: {name!r} is missing or damaged: {advice}")
        self._found[key] = record
        return record

    def save(self, key: str, **parts: Any) -> None:
        """Writes a record atomically, with `config`, `seed`, `result` and `time`."""
        record = {**_VERSION, "key": key, **parts, "environment": environment()}
        _write(self.folder / "records" / f"{key}.json", record)

    def _extended(self, known: Mapping[str, Any], added: Mapping[str, Any]) -> dict[str, Any]:
        def check(what: str, before: Any, now: Any) -> None:
            if before != now:
                found = f"holds records with another {what} ({before}; now {now})"
                raise UserError(f"{self.folder} {found}: {_ELSEWHERE}")

        for name in ("scale", "pretrained"):
            check(name, known[name], added[name])
        first, wanted = known["datasets"][0], added["datasets"][0]
        if first["name"] != wanted["name"]:  # most items use the first one
            check("first data set", _texts(first), _texts(wanted))
        datasets = {facts["name"]: facts for facts in known["datasets"]}
        for facts in added["datasets"]:
            check(facts["name"], _texts(datasets.setdefault(facts["name"], facts)), _texts(facts))
        seeds = max(known["seeds"], added["seeds"])
        return {**known, "datasets": list(datasets.values()), "seeds": seeds}


def environment() -> dict[str, Any]:
    """Returns versions and hardware, without anything that names the machine."""
    return {name: version(name) for name in ("jax", "flax", "optax", "numpy")} | {
        "python": platform.python_version(),
        "system": platform.system(),
        "machine": platform.machine(),
        "backend": jax.default_backend(),
        "device": device_name(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else None,
    }


def _write(path: Path, content: Mapping[str, Any]) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, json.dumps(content, indent=1, sort_keys=True) + "\n")
    except OSError as error:
        raise UserError(f"{path} cannot be written: {error.strerror}") from error


def _texts(facts: Mapping[str, Any]) -> str:
    return f"{facts['name']} {facts['fingerprint'][:8]}"


def _read(path: Path, advice: str) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise UserError(f"{path} cannot be read as JSON ({error}): {advice}") from None
    if not isinstance(content, dict):
        raise UserError(f"{path} is not a JSON object: {advice}")
    for name, wanted in _VERSION.items():
        if (found := content.get(name)) != wanted:
            versions = f"({name} {found}, this is {wanted})"
            raise UserError(f"{path} was written by another version {versions}: {_ELSEWHERE}")
    return content
