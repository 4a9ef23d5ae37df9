"""The training loop: steps, metrics, validations and checkpoints, resumable at any step."""

from __future__ import annotations

import dataclasses
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, closing
from typing import Any, Protocol

import jax

from wave_jax.errors import Interrupted
from wave_jax.training.callbacks import Callback, MetricsWriter
from wave_jax.training.compilation import Report, shape_of, training_programs
from wave_jax.training.distributed import noticing_lost_peers
from wave_jax.training.evaluation import EvalResult, Evaluator
from wave_jax.training.mesh import place, put, replicated
from wave_jax.training.metrics import MetricSums, NonFiniteError, empty_metrics, group_bits
from wave_jax.training.prefetch import prefetch
from wave_jax.training.state import Params, State, current_params
from wave_jax.training.task import Task

_RUN_AHEAD = 8  # steps dispatched beyond the last finished one
_PREFETCH = 4  # batches waiting on the devices


@dataclasses.dataclass
class TrainProgress:
    """How far a training has come: all that resuming needs besides the arrays of the state."""

    step: int = 0  # steps made, and the data position: a batch depends on seed and step alone
    elapsed: float = 0.0  # seconds of training, without compilation and evaluation
    window: float = 0.0  # seconds of `elapsed` since the last training row
    validated: int = 0  # step of the last completed validation
    best_accuracy: float = -1.0  # of the best validation
    best_step: int = 0  # its step, of equals the earliest
    without_better: int = 0  # validations since then, for early stopping
    best_score: float = -1.0  # of all validations, by which the best one is chosen

    def record(self, accuracy: float, score: float) -> bool:
        """Records a validation; returns whether its score is the best."""
        self.validated, self.without_better = self.step, self.without_better + 1
        if self.best_step and not score > self.best_score:
            return False
        self.best_accuracy, self.best_score = accuracy, score
        self.best_step, self.without_better = self.step, 0
        return True


class Store(Protocol):
    """What keeps checkpoints: `wave_jax.runs.checkpoints.Checkpoints`."""

    def restore_newest(
        self, like: State, report: Callable[[str], None]
    ) -> tuple[State, dict[str, Any]] | None: ...
    def save(self, state: State, meta: Mapping[str, Any]) -> None: ...
    def check(self) -> None: ...
    def wait(self) -> None: ...


class Display(Protocol):
    """What shows progress: `wave_jax.runs.progress.ProgressDisplay`."""

    def compiling(self, what: str) -> Report: ...
    def training(self, step: int) -> None: ...
    def step(self, step: int) -> None: ...
    def row(self, row: Mapping[str, Any]) -> None: ...
    def line(self, text: str) -> None: ...


class StopSignal(Protocol):
    """What notes Ctrl-C and SIGTERM: `wave_jax.runs.signals.Interrupt`."""

    def deferred(self) -> AbstractContextManager[None]: ...
    def poll(self) -> None: ...


class Trainer:
    """Trains a task, from its start or from the newest checkpoint, which also holds `config`."""

    def __init__(
        self,
        task: Task,
        store: Store,
        *,
        display: Display,
        interrupt: StopSignal,
        config: Mapping[str, Any],
        callbacks: Sequence[Callback] = (),
    ) -> None:
        self.task, self.progress = task, TrainProgress()
        self.writers: list[MetricsWriter] = []  # receive the rows of metrics
        self.state = task.new_state()
        self.evaluator = Evaluator(task.model, task.mesh, task.config.precision)
        self.programs: dict[Any, Any] = {}  # the compiled training step of every shape
        self._store, self._display, self._interrupt = store, display, interrupt
        self._config, self._callbacks = dict(config), callbacks
        self._no_sums = put(empty_metrics(), replicated(task.mesh))
        self._sums: MetricSums = self._no_sums
        self._pending: tuple[int, MetricSums] | None = None  # the row to be written next
        self._saved = 0
        self._mark = 0.0  # time up to which `elapsed` is counted

    def restore(self) -> bool:
        """Restores the newest checkpoint; returns whether there is one."""
        found = self._store.restore_newest(self.state, self._display.line)
        if found is None:
            return False
        self.state, meta = found
        position = meta["position"]  # of an earlier version without a score
        self.progress = TrainProgress(**{"best_score": position["best_accuracy"]} | position)
        self._sums = put(MetricSums.from_json(meta["sums"]), replicated(self.task.mesh))
        self._saved = self.progress.step
        return True

    def run(self) -> TrainProgress:
        """Trains to the end; returns the progress.

        Raises:
            Interrupted: a signal came; the state is saved.
            PeerLost: another process has ended.
            NonFiniteError: the loss or gradient was not finite; older checkpoints stay.
        """
        task, report = self.task, self._display.compiling
        self.programs = training_programs(task, self.state, self._no_sums, report("training"))
        if task.validation is not None:
            self.evaluator.warm(current_params(self.state), task.validation, report("validation"))
        steps = range(self.progress.step, task.total_steps)
        # a generator, whose close ends the thread
        batches: Any = prefetch(steps, lambda i: place(task.batches.batch(i), task.mesh), _PREFETCH)
        with closing(batches), noticing_lost_peers(), self._interrupt.deferred():
            try:
                self._loop(batches)
            except Interrupted:
                self._save()
                raise
            self._store.wait()  # here, as a signal that broke into Orbax would leave a trace
        return self.progress

    @property
    def _ended(self) -> bool:
        patience = self.task.config.early_stopping
        stopped = 0 < patience <= self.progress.without_better
        return self.progress.step >= self.task.total_steps or stopped

    def _loop(self, batches: Iterator[Any]) -> None:
        root, in_flight = self.task.root_key(), deque[MetricSums]()
        self._display.training(self.progress.step)
        self._mark = time.perf_counter()
        self._after_step()  # completes what an interruption at this step left undone
        while not self._ended:
            batch = next(batches)
            step = self.programs[shape_of(batch)]
            self.state, self._sums = step(self.state, self._sums, root, batch)
            self.progress.step += 1
            self._display.step(self.progress.step)
            self._flush()  # the row of earlier steps, while this one is running
            in_flight.append(self._sums)
            if len(in_flight) > _RUN_AHEAD:
                jax.block_until_ready(in_flight.popleft().steps)
            if self._due(self.task.config.log_every):
                self._pending, self._sums = (self.progress.step, self._sums), self._no_sums
            self._after_step()
            self._interrupt.poll()
        self._flush()

    def _after_step(self) -> None:
        """Calls back, validates and saves as due; called again, it does nothing twice."""
        progress, config = self.progress, self.task.config
        step, better, epoch = progress.step, False, self.task.steps_per_epoch
        if step == 0:
            return
        for callback in self._callbacks:
            if callback.every and step % callback.every == 0 and step != self._saved:
                row = callback(step, self._current_params())
                if row is not None:
                    self._write({"split": "probe", **row})
                self._mark = time.perf_counter()
        due = self.task.validation is not None and self._due(config.eval_every or epoch)
        if due and progress.validated < step:
            better = self._validate()
        if better or self._ended or step % (config.checkpoint_every or epoch) == 0:
            self._save()

    def _due(self, every: int) -> bool:
        return self.progress.step % every == 0 or self.progress.step >= self.task.total_steps

    def _validate(self) -> bool:
        """Returns whether the parameters are the best so far."""
        params = self._current_params()
        result: EvalResult = self.evaluator(params, self.task.validation, self._interrupt.poll)
        row = {"loss": result.loss, "accuracy": result.accuracy, "macro_f1": result.macro_f1}
        self._write({"split": "validation", **row})
        self._mark = time.perf_counter()
        value = row[self.task.config.select_by.replace("-", "_")]
        score = -value if self.task.config.select_by == "loss" else value
        return self.progress.record(result.accuracy, score)

    def _current_params(self) -> Params:
        self._drain()
        return current_params(self.state)

    def _save(self) -> None:
        if self._saved == self.progress.step:
            return
        self._drain()
        meta = {
            "position": dataclasses.asdict(self.progress),
            "sums": self._sums.to_json(),
            "config": self._config,
        }
        self._store.save(self.state, meta)
        self._saved = self.progress.step

    def _drain(self) -> None:
        """Waits for all steps; writes the pending row, raises NonFiniteError if there is cause."""
        self._flush()
        self._fetch(self._sums)

    def _flush(self) -> None:
        if self._pending is None:
            return
        (step, sums), self._pending = self._pending, None
        self._store.check()
        sums = self._fetch(sums)
        rate = float(sums.examples) / max(self.progress.window, 1e-9)
        self.progress.window = 0.0
        self._write({"split": "train", **sums.means(), "examples_per_s": rate}, step)

    def _fetch(self, sums: MetricSums) -> MetricSums:
        """Waits for the steps behind `sums` and counts their time."""
        fetched: MetricSums = jax.device_get(sums)
        if fetched.bad_step >= 0:
            bits = group_bits(self.state.params).items()
            groups = [name for name, bit in bits if bit & int(fetched.bad_groups)]
            raise NonFiniteError(int(fetched.bad_step), groups, self._saved)
        now = time.perf_counter()
        self.progress.elapsed += now - self._mark
        self.progress.window += now - self._mark
        self._mark = now
        return fetched

    def _write(self, row: Mapping[str, Any], step: int | None = None) -> None:
        step = self.progress.step if step is None else step
        full = {"step": step, "epoch": round(step / self.task.steps_per_epoch, 4), **row}
        for writer in self.writers:
            writer.write(full)
        self._display.row(full)
