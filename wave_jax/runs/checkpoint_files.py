"""The folder of a run's checkpoints: which are finished, which one is the best, what is none."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import Any

import jax
import numpy as np

from wave_jax.errors import UserError

FOLDER = "checkpoints"


def finished_steps(folder: Path) -> list[int]:
    """Returns the steps of finished checkpoints; a stray bare folder `3/` is none."""
    found = [path.parent.name for path in folder.glob(f"*/{COMPLETE}")]
    return sorted(int(name) for name in found if name.isdecimal())


def set_strays_aside(folder: Path) -> None:
    """Renames folders that only look like checkpoints: Orbax would count them, or delete them."""
    for path in folder.iterdir():
        if path.name.isdecimal() and not (path / COMPLETE).is_file():
            set_aside(path, "stray")


def set_aside(path: Path, kind: str) -> None:
    """Renames the folder of a step, so that it is no longer counted among the checkpoints."""
    name = f"{kind}-{path.name}"
    while (path.parent / name).exists():
        name += "-again"
    os.rename(path, path.parent / name)


def best_of_checkpoint(folder: Path, step: int) -> int:
    """Returns the best step that a whole checkpoint names."""
    meta = json.loads((folder / str(step) / "meta" / "metadata").read_text(encoding="utf-8"))
    return int(meta["position"]["best_step"])


def best_of_run(workdir: Path, newest: int) -> int:
    """Returns the best step that a finished run's summary names, or else the newest checkpoint."""
    summary = workdir / "summary.json"
    if summary.is_file():
        return int(json.loads(summary.read_text(encoding="utf-8"))["best_step"])
    return best_of_checkpoint(workdir / FOLDER, newest)


CHECKSUMS = "checksums.json"
COMPLETE = "_CHECKPOINT_METADATA"  # Orbax writes it last, with the time, and needs nothing in it

_CHUNK = 1 << 22


def write_checksums(folder: Path) -> None:
    """Writes the size and digest of every file under `folder` to its checksums.json."""
    found = {
        str(path.relative_to(folder)): [path.stat().st_size, _digest(path)]
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != COMPLETE
    }
    (folder / CHECKSUMS).write_text(json.dumps(found), encoding="utf-8")


def damage(folder: Path) -> str | None:
    """Returns what is wrong with the files of a checkpoint, or None if they are as written."""
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


def check_leaves(wanted: Any, stored: Any, where: str, item: str) -> None:
    """Compares names, shapes and dtypes: Orbax casts dtypes and takes any shape without a word.

    Raises:
        UserError: an array is missing, too many, or has another shape or dtype; it is named.
    """
    expected, found = _leaves(wanted), _leaves(stored)
    for name, leaf in expected.items():
        if name not in found:
            raise UserError(f"{where} lacks {item}/{name}: it is of another model or configuration")
        want, got = (f"{np.dtype(x.dtype).name}{list(x.shape)}" for x in (leaf, found[name]))
        if want != got:
            raise UserError(f"{where}: {item}/{name} is {got}, expected {want}")
    for name in sorted(found.keys() - expected.keys()):
        raise UserError(f"{where}: {item}/{name} is not a part of this model")


def _digest(path: Path) -> str:
    digest = hashlib.blake2b(digest_size=16)
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def _leaves(tree: Any) -> dict[str, Any]:
    leaves = jax.tree_util.tree_leaves_with_path(tree)
    names = [
        "/".join(str(getattr(k, "key", getattr(k, "name", getattr(k, "idx", "")))) for k in path)
        for path, _ in leaves
    ]
    return {name: leaf for name, (_, leaf) in zip(names, leaves, strict=True)}
