"""Trained parameters read back from a run's folder."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import jax
import numpy as np
import orbax.checkpoint as ocp

from wave_jax.errors import UserError
from wave_jax.training.integrity import CHECKSUMS, damage
from wave_jax.training.items import open_manager, stored_shapes
from wave_jax.training.rows import settle
from wave_jax.training.shelf import FOLDER, best_of_run, finished_steps
from wave_jax.training.state import Params, join_table, split_table


def restore_params(
    workdir: Path, which: Literal["best", "last"] = "best", *, step: int | None = None
) -> tuple[Params, dict[str, Any]]:
    """Returns the settled parameters (numpy, nested dict) and `meta` of a run's checkpoint.

    Args:
        workdir: the run's folder.
        which: that of the best validation accuracy (the newest before any), or the newest.
        step: that of a certain step, instead.

    Raises:
        UserError: there is no such checkpoint.
    """
    folder = (Path(workdir) / FOLDER).absolute()
    steps = finished_steps(folder)
    if not steps:
        raise UserError(
            f"{workdir} holds no checkpoint yet: expected a run that saved at least one"
        )
    with open_manager(folder, ocp.CheckpointManagerOptions(create=False)) as manager:
        if step is None:
            best = best_of_run(Path(workdir), steps[-1]) if which == "best" else 0
            step = best or steps[-1]
        if step not in steps:
            raise UserError(f"{folder} lacks the checkpoint of step {step}; it has {steps}")
        broken = damage(folder / str(step))
        if broken is not None and (folder / str(step) / CHECKSUMS).exists():
            raise UserError(f"the checkpoint of step {step} in {folder} is not whole: {broken}")
        return _read_params(manager, folder, step)


def _read_params(
    manager: ocp.CheckpointManager, folder: Path, step: int
) -> tuple[Params, dict[str, Any]]:
    names = [name for name in ("params", "decay") if (folder / str(step) / name).is_dir()]
    targets = {
        name: ocp.args.StandardRestore(
            jax.tree.map(
                lambda leaf: np.empty(leaf.shape, leaf.dtype), stored_shapes(manager, step, name)
            )
        )
        for name in names
    }
    found = manager.restore(step, args=ocp.args.Composite(**targets, meta=ocp.args.JsonRestore()))
    params: Params = found["params"]
    if "decay" in names:
        rest, table = split_table(params)
        params = jax.device_get(join_table(rest, settle(table, **found["decay"])))
    return params, dict(found["meta"])
