"""The loop: steps, rows of metrics, validations and checkpoints, resumable at any step."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax

from wave_jax.errors import UserError
from wave_jax.training.checkpoint import Checkpoints, Restored
from wave_jax.training.display import Display
from wave_jax.training.evaluation import EvalResult, Evaluator
from wave_jax.training.hook import Hook
from wave_jax.training.interrupt import Interrupt, Interrupted
from wave_jax.training.log import Writer
from wave_jax.training.mesh import place, put, replicated
from wave_jax.training.metrics import Sums, empty_sums, sums_from_json, sums_to_json
from wave_jax.training.nonfinite import NotFinite, named
from wave_jax.training.position import Position
from wave_jax.training.prefetch import Prefetch
from wave_jax.training.processes import noticing_lost_peers
from wave_jax.training.programs import training_programs
from wave_jax.training.shapes import shape_of
from wave_jax.training.state import settled_params
from wave_jax.training.stretch import Stretches
from wave_jax.training.task import Task

_RUN_AHEAD = 8  # steps dispatched beyond the last finished one: keeps devices busy, signals prompt


class Fit:
    """A training under way.

    Args:
        task: what is learned, and how.
        checkpoints: where the run is saved; training goes on from the newest one there.
        make_iterator: makes an iterator over host batches with get_state and set_state.
        config: the resolved configuration, kept in every checkpoint.
        hooks: done every so many steps.

    Attributes:
        writers: where rows of metrics go.
        position: where the run stands.
        state: its arrays.
        evaluator: validates, and may be used for other splits.
        programs: the compiled training step of every shape.
    """

    def __init__(
        self,
        task: Task,
        checkpoints: Checkpoints,
        make_iterator: Callable[[], Any],
        *,
        display: Display,
        interrupt: Interrupt,
        config: Mapping[str, Any],
        hooks: Sequence[Hook] = (),
    ) -> None:
        self.task, self.position = task, Position()
        self.writers: list[Writer] = []
        self.state = task.new_state()
        self.evaluator = Evaluator(task.model, task.mesh, task.config.precision)
        self.programs: dict[Any, Any] = {}
        self._checkpoints, self._make_iterator = checkpoints, make_iterator
        self._display, self._interrupt = display, interrupt
        self._config, self._hooks = dict(config), hooks
        self._no_sums = self._on_devices(empty_sums())
        self._sums = self._no_sums
        self._pending: tuple[int, Sums] | None = None
        self._data: dict[str, Any] | None = None
        self._saved = 0
        self._mark = 0.0

    def restore(self) -> bool:
        """Goes back to the newest checkpoint, if there is one."""
        found = self._newest()
        if found is None:
            if self._checkpoints.steps():
                self._display.line("No checkpoint is whole; all are kept as broken-*: starts over")
                self._checkpoints.set_all_aside()
            return False
        self.state, self._data = found.state, found.data
        self.position = Position.from_json(found.meta["position"])
        self._sums = self._on_devices(sums_from_json(found.meta["sums"]))
        self._saved = self.position.step
        self._checkpoints.drop_after(self.position.step)
        return True

    def run(self) -> Position:
        """Trains to the end; returns where it ended.

        Raises:
            Interrupted: a signal came; the state is saved.
            PeerLost: another process has ended.
            NotFinite: the loss or gradient was not finite; what was saved before stays.
        """
        self._compile()
        iterator = self._make_iterator()
        if self._data is not None:
            iterator.set_state(self._data)
        batches = Prefetch(self._stretches(iterator), self._place)
        try:
            with noticing_lost_peers(), self._interrupt.deferred():
                try:
                    self._loop(batches)
                except Interrupted:
                    self._save()
                    raise
        finally:
            batches.close()
        self._checkpoints.wait()
        return self.position

    def _stretches(self, iterator: Any) -> Stretches:
        every = [hook.every for hook in self._hooks if hook.every]

        def crosses(first: int, last: int) -> bool:
            probed = any((last - 1) // n > (first - 1) // n for n in every)
            return probed or self.task.crosses(first, last)

        rows = self.state.params["embed"]["embedding"].shape[0]
        return Stretches(iterator, self.position.step, self.task.stretch, rows, crosses)

    def _place(self, item: tuple[Any, int]) -> tuple[Any, int]:
        return place(item[0], self.task.mesh), item[1]

    def _newest(self) -> Restored | None:
        for step in self._checkpoints.whole_steps(self._display.line):
            try:
                return self._checkpoints.restore(step, self.state)
            except UserError:
                raise
            except Exception as error:  # Orbax raises many kinds for a file that is not whole
                reason = " ".join(str(error).split())[:200]
                self._display.line(f"The checkpoint of step {step} cannot be read: {reason}")
        return None

    @property
    def _ended(self) -> bool:
        patience = self.task.config.early_stopping
        stopped = 0 < patience <= self.position.without_better
        return self.position.step >= self.task.total_steps or stopped

    def _compile(self) -> None:
        """Compiles every shape of training and validation, so that no later step does."""
        report = self._display.compiling("training")
        self.programs = training_programs(self.task, self.state, self._no_sums, report)
        params = settled_params(self.state)
        report = self._display.compiling("validation")
        self.evaluator.warm(params, self.task.validation, report)

    def _loop(self, batches: Prefetch) -> None:
        root, in_flight = self.task.root_key(), deque[Sums]()
        self._display.training(self.position.step)
        self._mark = time.perf_counter()
        self._boundary()  # what an interruption at this very step left to be done
        while not self._ended:
            (batch, count), self._data = next(batches)
            program = self.programs[shape_of(batch)]
            self.state, self._sums = program(self.state, self._sums, root, batch)
            self.position.step += count
            self._display.step(self.position.step)
            self._flush()  # the row of the steps before this one, which is running now
            in_flight.append(self._sums)
            if len(in_flight) > max(1, _RUN_AHEAD // self.task.stretch):
                jax.block_until_ready(in_flight.popleft().steps)
            if self._due(self.task.config.log_every):
                self._pending, self._sums = (self.position.step, self._sums), self._no_sums
            self._boundary()
            self._interrupt.poll()
        self._flush()

    def _boundary(self) -> None:
        """Does what is due between this step and the next; asked again, it does nothing twice."""
        position, config = self.position, self.task.config
        if position.step == 0:
            return
        better, epoch = False, self.task.steps_per_epoch
        for hook in self._hooks:
            if position.step != self._saved and hook.every and position.step % hook.every == 0:
                self._call(hook)
        if self._due(config.eval_every or epoch) and position.validated < position.step:
            better = self._validate()
        if better or self._ended or self._due(config.checkpoint_every or epoch, last=False):
            self._save()

    def _due(self, every: int, last: bool = True) -> bool:
        step = self.position.step
        return step % every == 0 or (last and step >= self.task.total_steps)

    def _validate(self) -> bool:
        self._drain()
        params = settled_params(self.state)
        result: EvalResult = self.evaluator(params, self.task.validation, self._interrupt.poll)
        self._write({"split": "validation", "loss": result.loss, "accuracy": result.accuracy})
        self._mark = time.perf_counter()
        return self.position.record(result.accuracy)

    def _call(self, hook: Hook) -> None:
        self._drain()
        row = hook(self.position.step, settled_params(self.state))
        if row is not None:
            self._write({"split": "probe", **row})
        self._mark = time.perf_counter()

    def _save(self) -> None:
        if self._saved == self.position.step:
            return
        self._drain()
        meta = {
            "position": self.position.to_json(),
            "sums": sums_to_json(self._sums),
            "config": self._config,
        }
        assert self._data is not None
        self._checkpoints.save(self.state, self._data, meta)
        self._saved = self.position.step

    def _drain(self) -> None:
        """Waits for all steps; writes the row that is due, refuses numbers that went wrong."""
        self._flush()
        self._check(self._sums)
        self._tick()

    def _flush(self) -> None:
        if self._pending is None:
            return
        (step, sums), self._pending = self._pending, None
        self._checkpoints.check()
        sums = self._check(sums)
        self._tick()
        seconds, self.position.window = self.position.window, 0.0
        rate = float(sums.examples) / max(seconds, 1e-9)
        row = {"split": "train", **sums.means(), "examples_per_s": rate}
        self._write(row, step)

    def _check(self, sums: Sums) -> Sums:
        fetched: Sums = jax.device_get(sums)
        if fetched.bad_step >= 0:
            groups = named(self.state.params, int(fetched.bad_groups))
            raise NotFinite(int(fetched.bad_step), groups, self._saved)
        return fetched

    def _tick(self) -> None:
        now = time.perf_counter()
        self.position.elapsed += now - self._mark
        self.position.window += now - self._mark
        self._mark = now

    def _write(self, row: Mapping[str, Any], step: int | None = None) -> None:
        step = self.position.step if step is None else step
        full = {"step": step, "epoch": round(step / self.task.steps_per_epoch, 4), **row}
        for writer in self.writers:
            writer.write(full)
        self._display.row(full)

    def _on_devices(self, sums: Sums) -> Sums:
        placed: Sums = put(sums, replicated(self.task.mesh))
        return placed
