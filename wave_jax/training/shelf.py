"""The folder of a run's checkpoints: which are finished, which one is the best, what is none."""

from __future__ import annotations

import json
import os
from pathlib import Path

from wave_jax.training.integrity import COMPLETE

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
