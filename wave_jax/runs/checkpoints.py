"""Checkpoints of a run, over Orbax; training resumes from exactly what was saved.

A checkpoint `checkpoints/STEP/` holds the items 'params', 'decay' (pending, of sparse AdamW),
'optimizer' (the rest of the state), 'meta' (progress, metrics, configuration) and checksums.json.
See `wave_jax.runs.checkpoint_files` for how it becomes complete.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import jax
import numpy as np
import orbax.checkpoint as ocp

from wave_jax.errors import PeerLost, UserError, one_line
from wave_jax.runs.checkpoint_files import (
    CHECKSUMS,
    FOLDER,
    best_of_checkpoint,
    best_of_run,
    check_leaves,
    damage,
    finished_steps,
    set_aside,
    set_strays_aside,
    write_checksums,
)
from wave_jax.runs.files import explaining_disk_errors
from wave_jax.training.compilation import abstract
from wave_jax.training.distributed import is_primary, meet, on_primary
from wave_jax.training.sparse_adamw import SparseAdamWState, apply_pending_decay
from wave_jax.training.state import Params, State, join_table, split_table


class Checkpoints:
    """The checkpoints of one workdir; a context manager that completes them on exit.

    Kept are the newest `keep` and the best one of each one's time, so that going back to an older
    checkpoint still finds its best. Saving continues in the background.

    Args:
        workdir: the run's folder.
        keep: newest checkpoints kept, besides the best.
    """

    def __init__(self, workdir: Path, keep: int) -> None:
        # absolute: a relative folder fails late, in the background thread
        self._folder = (Path(workdir) / FOLDER).absolute()
        self._saving = 0
        options = ocp.CheckpointManagerOptions(
            preservation_policy=_KeepNewestAndBest(max(1, keep)),
            cleanup_tmp_directories=True,
            async_options=ocp.AsyncOptions(post_finalization_callback=self._add_checksums),
        )
        self._folder.mkdir(parents=True, exist_ok=True)
        if is_primary():
            set_strays_aside(self._folder)
        meet()
        self._manager = _open_manager(self._folder, options)

    def __enter__(self) -> Checkpoints:
        return self

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, PeerLost):  # closing waits for all processes
            return
        try:
            with self._writing():
                self._manager.close()
        except Exception:
            if not isinstance(error, UserError):  # the first error says more
                raise

    def save(self, state: State, meta: Mapping[str, Any]) -> None:
        """Starts saving; `state` may be donated to the next step right away.

        `meta` is a JSON object whose `position` holds `step` and `best_step`.
        """
        position = meta["position"]
        items = {name: ocp.args.StandardSave(tree) for name, tree in _to_items(state).items()}
        with self._writing():
            self._manager.wait_until_finished()  # before `_saving` names another one
            self._saving = position["step"]
            self._manager.save(
                position["step"],
                args=ocp.args.Composite(**items, meta=ocp.args.JsonSave(dict(meta))),
                metrics={"best_step": position["best_step"]},
                force=True,
            )

    def check(self) -> None:
        """Raises the error of the save in progress, without waiting for it."""
        with self._writing():
            self._manager.check_for_errors()

    def wait(self) -> None:
        """Returns when everything saved is complete on disk; UserError if the disk is full."""
        with self._writing():
            self._manager.wait_until_finished()

    def restore_newest(
        self, like: State, report: Callable[[str], None]
    ) -> tuple[State, dict[str, Any]] | None:
        """Returns the newest intact checkpoint's state and `meta`; later ones are deleted.

        If none is intact, all are renamed to broken-STEP and training starts over.

        The arrays are placed as those of `like`; `report` receives a line for each checkpoint that
        is not used.

        Raises:
            UserError: an array is missing, or has another shape or dtype; it is named.
        """
        for step in self.intact_steps(report):
            try:
                found = self.restore(step, like)
            except UserError:
                raise
            except Exception as error:  # Orbax raises many kinds for a damaged file
                report(f"The checkpoint of step {step} cannot be read: {one_line(error, 200)}")
            else:
                self._delete_after(step)
                return found
        steps = on_primary(lambda: finished_steps(self._folder))
        if steps:
            report("No checkpoint is whole; all are kept as broken-*: starts over")
            if is_primary():
                for step in steps:
                    set_aside(self._folder / str(step), "broken")
            meet()
            self._manager.reload()
        return None

    def intact_steps(self, report: Callable[[str], None]) -> list[int]:
        """Returns the steps from which training can resume, newest first.

        Their files, and those of the best checkpoint of their time, are as they were written;
        `report` receives a line for each one left out.
        """

        def check() -> list[int]:
            found = {step: self._damage(step) for step in finished_steps(self._folder)[::-1]}
            for step, reason in found.items():
                if reason is not None:
                    report(f"The checkpoint of step {step} is not whole ({reason}); not used")
            return [step for step, reason in found.items() if reason is None]

        return on_primary(check)

    def restore(self, step: int, like: State) -> tuple[State, dict[str, Any]]:
        """Returns the state and `meta` of the checkpoint of `step`; see `restore_newest`."""
        items = _to_items(like)
        for name, tree in items.items():
            stored = {name: self._manager.item_metadata(step)[name].tree}
            check_leaves({name: tree}, stored, f"checkpoint {step}")
        targets = {name: ocp.args.StandardRestore(abstract(tree)) for name, tree in items.items()}
        found = self._manager.restore(
            step, args=ocp.args.Composite(**targets, meta=ocp.args.JsonRestore())
        )
        return _from_items(found), dict(found["meta"])

    def _delete_after(self, step: int) -> None:
        """Deletes the checkpoints after `step`: training from there writes them again."""
        if is_primary():
            for later in [s for s in self._manager.all_steps() if s > step]:
                path = self._folder / str(later)
                (path / CHECKSUMS).unlink(missing_ok=True)  # first: half deleted it is not intact
                shutil.rmtree(path)
        meet()
        self._manager.reload()

    def _add_checksums(self) -> None:
        """Adds checksums.json to the checkpoint just written, before it gets its final name."""
        for folder in self._folder.glob(f"{self._saving}*"):
            if folder.name == str(self._saving) or folder.name.startswith(f"{self._saving}."):
                write_checksums(folder)

    def _damage(self, step: int) -> str | None:
        found = damage(self._folder / str(step))
        if found is not None:
            return found
        best = best_of_checkpoint(self._folder, step)
        if best in (0, step):
            return None
        found = damage(self._folder / str(best))
        return found and f"the best one of its time, of step {best}, is not: {found}"

    @contextmanager
    def _writing(self) -> Iterator[None]:
        steps = ", ".join(map(str, finished_steps(self._folder)))
        kept = f"the checkpoints of step {steps} are kept" if steps else "nothing was saved before"
        with explaining_disk_errors(self._folder, kept):
            yield


class _KeepNewestAndBest:
    def __init__(self, keep: int) -> None:
        self._keep = keep

    def should_preserve(self, checkpoints: Sequence[Any], *, context: Any) -> list[bool]:
        newest = sorted(checkpoints, key=lambda info: info.step)[-self._keep :]
        steps = {info.step for info in newest}
        steps |= {int(info.metrics["best_step"]) for info in newest if info.metrics}
        return [info.step in steps for info in checkpoints]


def restore_params(
    workdir: Path, which: Literal["best", "last"] = "best", *, step: int | None = None
) -> tuple[Params, dict[str, Any]]:
    """Returns the parameters (numpy, nested dict; no decay pending) and `meta` of a checkpoint.

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
    if step is None:
        best = best_of_run(Path(workdir), steps[-1]) if which == "best" else 0
        step = best or steps[-1]
    if step not in steps:
        raise UserError(f"{folder} lacks the checkpoint of step {step}; it has {steps}")
    broken = damage(folder / str(step))
    if broken is not None and (folder / str(step) / CHECKSUMS).exists():
        raise UserError(f"the checkpoint of step {step} in {folder} is not whole: {broken}")
    with _open_manager(folder, ocp.CheckpointManagerOptions(create=False)) as manager:
        metadata = manager.item_metadata(step)
        targets = {
            name: jax.tree.map(lambda x: np.empty(x.shape, x.dtype), metadata[name].tree)
            for name in ("params", "decay")
            if (folder / str(step) / name).is_dir()
        }
        items = {name: ocp.args.StandardRestore(target) for name, target in targets.items()}
        found = manager.restore(step, args=ocp.args.Composite(**items, meta=ocp.args.JsonRestore()))
    params: Params = found["params"]
    if "decay" in items:
        rest, table = split_table(params)
        table = apply_pending_decay(table, found["decay"]["decay"], found["decay"]["settled"])
        params = jax.device_get(join_table(rest, table))
    return params, dict(found["meta"])


def _open_manager(folder: Path, options: ocp.CheckpointManagerOptions) -> ocp.CheckpointManager:
    registry = ocp.handlers.DefaultCheckpointHandlerRegistry()
    for item in ("params", "decay", "optimizer"):
        registry.add(item, ocp.args.StandardSave)
        registry.add(item, ocp.args.StandardRestore)
    registry.add("meta", ocp.args.JsonSave)
    registry.add("meta", ocp.args.JsonRestore)
    return ocp.CheckpointManager(folder, options=options, handler_registry=registry)


def _to_items(state: State) -> dict[str, Any]:
    """Splits a state into what prediction needs and what only training does."""
    optimizer: dict[str, Any] = {"step": state.step, "optax": state.opt_state}
    items = {"params": state.params, "optimizer": optimizer}
    if (table := state.table) is not None:
        items["decay"] = {"decay": table.decay, "settled": table.applied}
        optimizer["table"] = {"mu": table.mu, "nu": table.nu, "carry": table.carry}
    return items


def _from_items(items: Mapping[str, Any]) -> State:
    """Inverts `_to_items`."""
    optimizer, decay, table = items["optimizer"], items.get("decay"), None
    if decay is not None:
        table = SparseAdamWState(
            decay=decay["decay"], applied=decay["settled"], **optimizer["table"]
        )
    return State(optimizer["step"], items["params"], optimizer["optax"], table)
