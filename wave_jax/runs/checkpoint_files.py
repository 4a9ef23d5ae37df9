"""The files of checkpoints: which are complete, which is the best, and whether they are intact.

Orbax writes `checkpoints/STEP.orbax-checkpoint-tmp/`; `Checkpoints` adds `checksums.json`, the size
and digest of every file; Orbax adds `_CHECKPOINT_METADATA` and renames the folder to
`checkpoints/STEP/`. A checkpoint is complete when that last file is there, and intact while all
files have the recorded size and digest.
"""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import Any

import jax
import numpy as np

from wave_jax.errors import UserError
from wave_jax.training.mesh import path_names

FOLDER, CHECKSUMS = "checkpoints", "checksums.json"
_COMPLETE = "_CHECKPOINT_METADATA"


def finished_steps(folder: Path) -> list[int]:
    """Returns the steps of the complete checkpoints in ascending order."""
    found = [path.parent.name for path in folder.glob(f"*/{_COMPLETE}")]
    return sorted(int(name) for name in found if name.isdecimal())


def set_strays_aside(folder: Path) -> None:
    """Renames incomplete step folders: Orbax would list or delete them."""
    for path in folder.iterdir():
        if path.name.isdecimal() and not (path / _COMPLETE).is_file():
            set_aside(path, "stray")


def set_aside(path: Path, kind: str) -> None:
    """Renames the folder of a step to KIND-STEP, so that it is no checkpoint any more."""
    name = f"{kind}-{path.name}"
    while (path.parent / name).exists():
        name += "-again"
    os.rename(path, path.parent / name)


def best_of_checkpoint(folder: Path, step: int) -> int:
    """Returns the best step so far according to a complete checkpoint, 0 before any validation."""
    meta = json.loads((folder / str(step) / "meta" / "metadata").read_text(encoding="utf-8"))
    return int(meta["position"]["best_step"])


def best_of_run(workdir: Path, newest: int) -> int:
    """Returns the best step according to a finished run's summary, or else the newest step's."""
    summary = workdir / "summary.json"
    if summary.is_file():
        return int(json.loads(summary.read_text(encoding="utf-8"))["best_step"])
    return best_of_checkpoint(workdir / FOLDER, newest)


def write_checksums(folder: Path) -> None:
    """Writes the size and digest of every file under `folder` to its checksums.json."""
    found = {
        str(path.relative_to(folder)): [path.stat().st_size, _digest(path)]
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != _COMPLETE
    }
    (folder / CHECKSUMS).write_text(json.dumps(found), encoding="utf-8")


def damage(folder: Path) -> str | None:
    """Returns what is wrong with the files of a checkpoint, or None if it is intact."""
    try:
        wanted = json.loads((folder / CHECKSUMS).read_text(encoding="utf-8"))
        expected = {str(name): (int(size), str(digest)) for name, (size, digest) in wanted.items()}
    except FileNotFoundError:
        return f"it was not finished, as it has no {CHECKSUMS}"
    except (OSError, ValueError, TypeError, AttributeError):
        return f"{CHECKSUMS} cannot be read"
    for name, (size, digest) in expected.items():
        path = folder / name
        try:
            if path.stat().st_size != size:
                return f"{name} has {path.stat().st_size:,} bytes instead of {size:,}"
            if _digest(path) != digest:
                return f"{name} has been changed: its checksum differs"
        except OSError as error:
            return f"{name} cannot be read: {error.strerror}"
    return None


def check_leaves(wanted: Any, stored: Any, where: str) -> None:
    """Compares names, shapes and dtypes: Orbax casts dtypes and restores any shape silently.

    Raises:
        UserError: an array is missing, unexpected, or has another shape or dtype; it is named.
    """
    expected, found = _leaves(wanted), _leaves(stored)
    for name, leaf in expected.items():
        if name not in found:
            raise UserError(f"{where} lacks {name}: it is of another model or configuration")
        want, got = (f"{np.dtype(x.dtype).name}{list(x.shape)}" for x in (leaf, found[name]))
        if want != got:
            raise UserError(f"{where}: {name} is {got}, expected {want}")
    for name in sorted(found.keys() - expected.keys()):
        raise UserError(f"{where}: {name} is not a part of this model")


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=16)).hexdigest()


def _leaves(tree: Any) -> dict[str, Any]:
    leaves = jax.tree_util.tree_leaves_with_path(tree)
    return {"/".join(path_names(path)): leaf for path, leaf in leaves}
