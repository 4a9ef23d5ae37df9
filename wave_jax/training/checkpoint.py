"""Checkpoints of a run, behind one thin module over Orbax.

A checkpoint `checkpoints/STEP/` holds what `items` lists, and checksums.json, the digests of all
files. Training resumes from exactly what was saved.
"""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any

import jax
import orbax.checkpoint as ocp

from wave_jax.errors import PeerLost, UserError
from wave_jax.training.integrity import CHECKSUMS, check_leaves, damage, write_checksums
from wave_jax.training.items import TEXTS, join_items, open_manager, split_items, stored_shapes
from wave_jax.training.processes import is_primary, meet, on_primary
from wave_jax.training.shelf import (
    FOLDER,
    best_of_checkpoint,
    finished_steps,
    set_aside,
    set_strays_aside,
)
from wave_jax.training.state import State
from wave_jax.training.writing import explaining_disk_errors


@dataclasses.dataclass(frozen=True)
class Restored:
    """A checkpoint read back: the state on its devices, the data's position, and `meta`."""

    state: State
    data: dict[str, Any]
    meta: dict[str, Any]


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

    def save(self, state: State, data: Mapping[str, Any], meta: Mapping[str, Any]) -> None:
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
                args=ocp.args.Composite(
                    **items, data=ocp.args.JsonSave(dict(data)), meta=ocp.args.JsonSave(dict(meta))
                ),
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

    def restore(self, step: int, like: State) -> Restored:
        """Returns the checkpoint of `step`, its arrays placed as those of `like`.

        Raises:
            UserError: an array is missing, or has another shape or dtype; it is named.
        """
        items = split_items(like)
        for name, tree in items.items():
            check_leaves(tree, stored_shapes(self._manager, step, name), f"checkpoint {step}", name)
        targets = {
            name: ocp.args.StandardRestore(jax.tree.map(_target, tree))
            for name, tree in items.items()
        }
        json_items = {name: ocp.args.JsonRestore() for name in TEXTS}
        found = self._manager.restore(step, args=ocp.args.Composite(**targets, **json_items))
        state = join_items({name: found[name] for name in items})
        return Restored(state, dict(found["data"]), dict(found["meta"]))

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
