"""Checkpoints of a run, behind one thin module over Orbax.

A checkpoint `checkpoints/STEP/` holds what `items` lists, and checksums.json, the digests of all
files. Training resumes from exactly what was saved.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
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
from wave_jax.training.distributed import is_primary, meet, on_primary
from wave_jax.training.sparse_adamw import SparseAdamWState, apply_pending_decay
from wave_jax.training.state import Params, State, join_table, split_table


class Checkpoints:
    """The checkpoints of one workdir; a context manager that leaves them whole.

    Kept are the newest `keep`, and of each of those the best one of its time, so that going back to
    an older checkpoint still finds its best. Saving goes on in the background.

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
            async_options=ocp.AsyncOptions(post_finalization_callback=self._seal),
        )
        self._folder.mkdir(parents=True, exist_ok=True)
        if is_primary():
            set_strays_aside(self._folder)
        meet()
        self._manager = open_manager(self._folder, options)

    def __enter__(self) -> Checkpoints:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if isinstance(error, PeerLost):  # closing waits for all processes
            return
        try:
            with self._writing():
                self._manager.close()
        except Exception:
            if not isinstance(error, UserError):  # the first error says more
                raise

    def steps(self) -> list[int]:
        """Returns the steps of the finished checkpoints, newest first."""
        return on_primary(lambda: finished_steps(self._folder)[::-1])

    def whole_steps(self, report: Callable[[str], None]) -> list[int]:
        """Returns the steps to which training can go back, newest first.

        Their files, and those of the best checkpoint of their time, are as they were written;
        `report` gets a line for each that is left out.
        """

        def check() -> list[int]:
            found = {step: self._damage(step) for step in finished_steps(self._folder)[::-1]}
            for step, reason in found.items():
                if reason is not None:
                    report(f"The checkpoint of step {step} is not whole ({reason}); not used")
            return [step for step, reason in found.items() if reason is None]

        return on_primary(check)

    def save(self, state: State, meta: Mapping[str, Any]) -> None:
        """Starts saving a checkpoint; `meta['position']` names its step and the best one.

        `state` may be donated to the next step right away.
        """
        position = meta["position"]
        items = {name: ocp.args.StandardSave(tree) for name, tree in split_items(state).items()}
        with self._writing():
            self._manager.wait_until_finished()  # `_seal` must know which one it is
            self._saving = position["step"]
            self._manager.save(
                position["step"],
                args=ocp.args.Composite(**items, meta=ocp.args.JsonSave(dict(meta))),
                metrics={"best_step": position["best_step"]},
                force=True,
            )

    def check(self) -> None:
        """Raises what went wrong with the saving that is under way, without waiting for it."""
        with self._writing():
            self._manager.check_for_errors()

    def wait(self) -> None:
        """Returns when everything saved is whole on disk; UserError if the disk is full."""
        with self._writing():
            self._manager.wait_until_finished()

    def restore_newest(
        self, like: State, report: Callable[[str], None]
    ) -> tuple[State, dict[str, Any]] | None:
        """Returns the newest whole checkpoint's state and `meta`; later ones are deleted.

        Where none is whole all are renamed to broken-STEP, as training starts over.

        Args:
            like: the state's arrays are placed as these are.
            report: takes a line for each checkpoint that is not used.

        Raises:
            UserError: an array is missing, or has another shape or dtype; it is named.
        """
        for step in self.whole_steps(report):
            try:
                found = self.restore(step, like)
            except UserError:
                raise
            except Exception as error:  # Orbax raises many kinds for a file that is not whole
                report(f"The checkpoint of step {step} cannot be read: {one_line(error, 200)}")
            else:
                self.drop_after(step)
                return found
        if self.steps():
            report("No checkpoint is whole; all are kept as broken-*: starts over")
            self.set_all_aside()
        return None

    def restore(self, step: int, like: State) -> tuple[State, dict[str, Any]]:
        """Returns the state and `meta` of the checkpoint of `step`; see `restore_newest`."""
        items = split_items(like)
        for name, tree in items.items():
            check_leaves(tree, stored_shapes(self._manager, step, name), f"checkpoint {step}", name)
        targets = {
            name: ocp.args.StandardRestore(jax.tree.map(_target, tree))
            for name, tree in items.items()
        }
        found = self._manager.restore(
            step, args=ocp.args.Composite(**targets, meta=ocp.args.JsonRestore())
        )
        state = join_items({name: found[name] for name in items})
        return state, dict(found["meta"])

    def drop_after(self, step: int) -> None:
        """Deletes the checkpoints after `step`: training from there writes them again."""
        if is_primary():
            for later in [s for s in self._manager.all_steps() if s > step]:
                path = self._folder / str(later)
                (path / CHECKSUMS).unlink(missing_ok=True)  # cut short here, it is no checkpoint
                shutil.rmtree(path)
        meet()
        self._manager.reload()

    def set_all_aside(self) -> None:
        """Renames the checkpoints, of which none is whole, to broken-STEP: training starts over."""
        if is_primary():
            for step in finished_steps(self._folder):
                set_aside(self._folder / str(step), "broken")
        meet()
        self._manager.reload()

    def _seal(self) -> None:
        """Adds the checksums to what has just been written, before it gets its final name."""
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


def _target(leaf: Any) -> jax.ShapeDtypeStruct:
    return jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=leaf.sharding)


ARRAYS = ("params", "decay", "optimizer")


def open_manager(folder: Path, options: ocp.CheckpointManagerOptions) -> ocp.CheckpointManager:
    """Returns Orbax's manager of a folder, which knows all items."""
    registry = ocp.handlers.DefaultCheckpointHandlerRegistry()
    for item in ARRAYS:
        registry.add(item, ocp.args.StandardSave)
        registry.add(item, ocp.args.StandardRestore)
    registry.add("meta", ocp.args.JsonSave)
    registry.add("meta", ocp.args.JsonRestore)
    return ocp.CheckpointManager(folder, options=options, handler_registry=registry)


def split_items(state: State) -> dict[str, Any]:
    """Splits a state into what prediction needs and what only training does."""
    optimizer: dict[str, Any] = {"step": state.step, "optax": state.opt_state}
    items = {"params": state.params, "optimizer": optimizer}
    if state.table is not None:
        table = state.table
        items["decay"] = {"decay": table.decay, "settled": table.applied}
        optimizer["table"] = {"mu": table.mu, "nu": table.nu, "carry": table.carry}
    return items


def join_items(items: dict[str, Any]) -> State:
    """Returns the state that `split_items` took apart."""
    optimizer = items["optimizer"]
    table = None
    if "decay" in items:
        decay = items["decay"]
        table = SparseAdamWState(
            decay=decay["decay"], applied=decay["settled"], **optimizer["table"]
        )
    return State(optimizer["step"], items["params"], optimizer["optax"], table)


def stored_shapes(manager: Any, step: int, item: str) -> Any:
    """Returns the shapes and dtypes of an item on disk, as nested containers."""
    return manager.item_metadata(step)[item].tree


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
        decay = found["decay"]
        rest, table = split_table(params)
        params = jax.device_get(
            join_table(rest, apply_pending_decay(table, decay["decay"], decay["settled"]))
        )
    return params, dict(found["meta"])
