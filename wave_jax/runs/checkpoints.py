"""Checkpoints of a run, over Orbax; training resumes from exactly what was saved.

A checkpoint `checkpoints/STEP/` holds the items 'params', 'decay' (pending, of sparse AdamW),
'optimizer' (the rest of the state) and 'meta' (progress, metrics, configuration). How it becomes
whole: Orbax writes `STEP.orbax-checkpoint-tmp/`; `Checkpoints` adds checksums.json, the size and
digest of every file; Orbax adds `_CHECKPOINT_METADATA` and renames the folder to `STEP/`. A
checkpoint is complete when that last file is there, and intact while all files have the recorded
size and digest.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, Literal

import jax
import numpy as np
import orbax.checkpoint as ocp

from wave_jax.errors import PeerLost, UserError
from wave_jax.runs.files import explaining_disk_errors
from wave_jax.training.compilation import abstract
from wave_jax.training.distributed import is_primary, meet, on_primary
from wave_jax.training.sparse_adamw import SparseAdamWState, apply_pending_decay
from wave_jax.training.state import Params, State, join_table, split_table

FOLDER, CHECKSUMS = "checkpoints", "checksums.json"
_COMPLETE = "_CHECKPOINT_METADATA"


class Checkpoints:
    """The checkpoints of one workdir, saved in the background; leaving the context completes them.

    The newest `keep` stay, and the best one of each one's time, so that going back to an older
    checkpoint still finds its best.
    """

    def __init__(self, workdir: Path, keep: int) -> None:
        # absolute: a relative folder fails late, in the background thread
        self._folder = (Path(workdir) / FOLDER).absolute()
        self._keep, self._saving = keep, 0
        options = ocp.CheckpointManagerOptions(
            preservation_policy=self,
            cleanup_tmp_directories=True,
            async_options=ocp.AsyncOptions(post_finalization_callback=self._add_checksums),
        )
        self._folder.mkdir(parents=True, exist_ok=True)
        if is_primary():
            for path in self._folder.iterdir():  # Orbax would list or delete incomplete ones
                if path.name.isdecimal() and not (path / _COMPLETE).is_file():
                    _set_aside(path, "stray")
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
        step, best = meta["position"]["step"], meta["position"]["best_step"]
        items = {name: ocp.args.StandardSave(tree) for name, tree in _to_items(state).items()}
        args = ocp.args.Composite(**items, meta=ocp.args.JsonSave(dict(meta)))
        with self._writing():
            self._manager.wait_until_finished()  # before `_saving` names another one
            self._saving = step
            self._manager.save(step, args=args, metrics={"best_step": best}, force=True)

    def check(self) -> None:
        """Raises the error of the save in progress, without waiting for it."""
        with self._writing():
            self._manager.check_for_errors()

    def wait(self) -> None:
        """Returns when everything saved is complete on disk."""
        with self._writing():
            self._manager.wait_until_finished()

    def should_preserve(self, checkpoints: Sequence[Any], *, context: Any) -> list[bool]:
        """Returns which ones to keep: this object is Orbax's `PreservationPolicy`."""
        newest = sorted(checkpoints, key=lambda info: info.step)[-self._keep :]
        steps = {info.step for info in newest}
        steps |= {int(info.metrics["best_step"]) for info in newest if info.metrics}
        return [info.step in steps for info in checkpoints]

    def restore_newest(
        self, like: State, report: Callable[[str], None]
    ) -> tuple[State, dict[str, Any]] | None:
        """Returns the newest intact checkpoint's state and `meta`; later ones are deleted.

        If none is intact, all are renamed to broken-STEP and training starts over. The arrays are
        placed as those of `like`; `report` receives a line for each checkpoint that is not used.

        Raises:
            UserError: an array is missing, or has another shape or dtype; it is named.
        """
        step = on_primary(lambda: self._newest_intact(report))
        found = None if step is None else self.restore(step, like)
        on_primary(lambda: self._discard_after(step, report))
        self._manager.reload()
        return found

    def restore(self, step: int, like: State) -> tuple[State, dict[str, Any]]:
        """Returns the state and `meta` of the checkpoint of `step`; see `restore_newest`."""
        items, stored = _to_items(like), self._manager.item_metadata(step)
        for name, tree in items.items():
            _check_arrays({name: tree}, {name: stored[name].tree}, f"checkpoint {step}")
        found = _restore_items(self._manager, step, abstract(items))
        return _from_items(found), dict(found["meta"])

    def _newest_intact(self, report: Callable[[str], None]) -> int | None:
        """Returns the newest step that is intact, and with it the best checkpoint of its time."""
        for step in reversed(finished_steps(self._folder)):
            reason = damage(self._folder / str(step))
            best = step if reason else _best_step(self._folder, step)
            if best not in (0, step) and (found := damage(self._folder / str(best))):
                reason = f"the best one of its time, of step {best}, is not: {found}"
            if reason is None:
                return step
            report(f"The checkpoint of step {step} is not whole ({reason}); not used")
        return None

    def _discard_after(self, step: int | None, report: Callable[[str], None]) -> None:
        """Makes way for the checkpoints that training from `step` writes again."""
        later = [each for each in finished_steps(self._folder) if step is None or each > step]
        if step is None and later:
            report("No checkpoint is whole; all are kept as broken-*: starts over")
        for path in (self._folder / str(each) for each in later):
            if step is None:
                _set_aside(path, "broken")
            else:
                shutil.rmtree(path)

    def _add_checksums(self) -> None:
        """Adds checksums.json to the checkpoint just written, before it gets its final name."""
        for folder in self._folder.glob(f"{self._saving}.*"):
            write_checksums(folder)

    @contextmanager
    def _writing(self) -> Iterator[None]:
        steps = ", ".join(map(str, finished_steps(self._folder)))
        kept = f"the checkpoints of step {steps} are kept" if steps else "nothing was saved before"
        with explaining_disk_errors(self._folder, kept):
            yield


def restore_params(
    workdir: Path, which: Literal["best", "last"] | int = "best"
) -> tuple[Params, dict[str, Any]]:
    """Returns the parameters (numpy, nested dict; no decay pending) and `meta` of a checkpoint.

    `which` is that of the best validation (the newest before any), the newest, or a step.

    Raises:
        UserError: there is no such checkpoint, or it is damaged.
    """
    folder = (Path(workdir) / FOLDER).absolute()
    steps = finished_steps(folder)
    if not steps:
        raise UserError(
            f"{workdir} holds no checkpoint yet: expected a run that saved at least one"
        )
    step = steps[-1] if isinstance(which, str) else which
    if which == "best":
        step = _best_step(folder, step) or step
    if broken := damage(folder / str(step)):
        raise UserError(f"the checkpoint of step {step} in {folder} is not whole: {broken}")
    with _open_manager(folder, ocp.CheckpointManagerOptions(create=False)) as manager:
        metadata = manager.item_metadata(step)
        targets = {
            name: jax.tree.map(lambda x: np.empty(x.shape, x.dtype), metadata[name].tree)
            for name in ("params", "decay")
            if (folder / str(step) / name).is_dir()
        }
        found = _restore_items(manager, step, targets)
    params: Params = found["params"]
    if "decay" in targets:
        rest, table = split_table(params)
        table = apply_pending_decay(table, found["decay"]["decay"], found["decay"]["settled"])
        params = jax.device_get(join_table(rest, table))
    return params, dict(found["meta"])


def finished_steps(folder: Path) -> list[int]:
    """Returns the steps of the complete checkpoints in ascending order."""
    found = [path.parent.name for path in folder.glob(f"*/{_COMPLETE}")]
    return sorted(int(name) for name in found if name.isdecimal())


def write_checksums(folder: Path) -> None:
    """Writes the size and digest of every file under `folder` to its checksums.json."""
    found = {
        str(path.relative_to(folder)): _checksum(path)
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != _COMPLETE
    }
    (folder / CHECKSUMS).write_text(json.dumps(found), encoding="utf-8")


def damage(folder: Path) -> str | None:
    """Returns what is wrong with the files of a checkpoint, or None if it is intact."""
    name = CHECKSUMS
    try:
        written = json.loads((folder / name).read_text(encoding="utf-8"))
        for name, checksum in written.items():
            if _checksum(folder / name) != checksum:
                return f"{name} has been changed: its checksum differs"
    except (OSError, ValueError) as error:
        return f"{name} cannot be read: {getattr(error, 'strerror', error)}"
    return None


def _checksum(path: Path) -> list[Any]:
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=16))
    return [path.stat().st_size, digest.hexdigest()]


def _set_aside(path: Path, kind: str) -> None:
    """Renames the folder of a step to KIND-STEP, so that it is no checkpoint any more."""
    name = f"{kind}-{path.name}"
    while (path.parent / name).exists():
        name += "-again"
    os.rename(path, path.parent / name)


def _best_step(folder: Path, step: int) -> int:
    """Returns the best step so far according to a checkpoint, 0 before any validation."""
    meta = json.loads((folder / str(step) / "meta" / "metadata").read_text(encoding="utf-8"))
    return int(meta["position"]["best_step"])


def _check_arrays(wanted: Any, stored: Any, where: str) -> None:
    """Compares names, shapes and dtypes: Orbax casts dtypes and restores any shape silently."""
    expected, found = _arrays(wanted), _arrays(stored)
    for name in expected | found:
        want, got = expected.get(name, "no such array"), found.get(name, "missing")
        if want != got:
            raise UserError(f"{where} is of another model: {name} is {got}, expected {want}")


def _arrays(tree: Any) -> dict[str, str]:
    name = partial(jax.tree_util.keystr, simple=True, separator="/")
    leaves = jax.tree_util.tree_leaves_with_path(tree)
    return {name(path): f"{np.dtype(x.dtype)}{list(x.shape)}" for path, x in leaves}


def _open_manager(folder: Path, options: ocp.CheckpointManagerOptions) -> ocp.CheckpointManager:
    registry = ocp.handlers.DefaultCheckpointHandlerRegistry()
    for item in ("params", "decay", "optimizer"):
        registry.add(item, ocp.args.StandardSave)
        registry.add(item, ocp.args.StandardRestore)
    registry.add("meta", ocp.args.JsonSave)
    registry.add("meta", ocp.args.JsonRestore)
    return ocp.CheckpointManager(folder, options=options, handler_registry=registry)


def _restore_items(manager: ocp.CheckpointManager, step: int, like: Mapping[str, Any]) -> Any:
    items = {name: ocp.args.StandardRestore(tree) for name, tree in like.items()}
    return manager.restore(step, args=ocp.args.Composite(**items, meta=ocp.args.JsonRestore()))


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
    optimizer, table = items["optimizer"], None
    if (pending := items.get("decay")) is not None:
        decay, applied = pending["decay"], pending["settled"]
        table = SparseAdamWState(decay=decay, applied=applied, **optimizer["table"])
    return State(optimizer["step"], items["params"], optimizer["optax"], table)
