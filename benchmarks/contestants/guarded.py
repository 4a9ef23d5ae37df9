"""One training whose guards are taken away and put back between turns of some steps."""

from __future__ import annotations

import dataclasses
import io
import tempfile
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from unittest import mock

import jax
from rich.console import Console
from wave_jax.data.loader import train_iterator

from benchmarks.contestants.ours import Trainer
from benchmarks.data import Setting
from wave_jax.runs.checkpoints import Checkpoints
from wave_jax.runs.progress import ProgressDisplay
from wave_jax.runs.signals import Interrupt
from wave_jax.training import step as step_module
from wave_jax.training.callbacks import DivergenceGuard
from wave_jax.training.compilation import training_programs
from wave_jax.training.mesh import put, replicated
from wave_jax.training.metrics import MetricSums, add_step, empty_metrics
from wave_jax.training.task import Task
from wave_jax.training.trainer import Trainer

KINDS = ("guarded", "without guards", "without guards, again")
_FOREVER = 10**6


class Training:
    """The loop of `train.py`; it makes so many steps a turn, the same batches each, and waits.

    A guarded turn is the loop as it is. One without guards runs a step that was compiled without
    looking at numbers, polls no signals, asks for no errors of the disk and compares no losses.
    State, memory and threads are the same ones, so that nothing else differs.

    Args:
        setting: sizes and data.
        steps: of a turn, which ends with a row of metrics.
    """

    def __init__(self, setting: Setting, steps: int) -> None:
        self.every = steps
        self._turn, self._over = threading.Semaphore(0), threading.Semaphore(0)
        self._error: BaseException | None = None
        self._watch, self._start, self._seconds = _Watch(), 0.0, 0.0
        self._task = _in_circles(Trainer(setting).task, steps)
        self._programs: dict[str, Any] = {}
        threading.Thread(target=self._train, daemon=True).start()
        self._wait()  # everything is compiled, and the first turn made

    def turn(self, kind: str) -> float:
        """Makes the steps of a turn, of one of KINDS; returns the seconds that they took."""
        self._watch.on = kind == "guarded"
        self._fit.programs = self._programs[kind]
        self._start = time.perf_counter()
        self._turn.release()
        self._wait()
        return self._seconds

    def __call__(self, step: int, params: Any) -> None:
        """The loop's hook, when a turn's steps are done."""
        self._seconds = time.perf_counter() - self._start
        jax.block_until_ready(params)  # settled for hooks, which is no part of a step
        self._programs.setdefault("guarded", self._fit.programs)
        self._over.release()
        self._turn.acquire()

    def _wait(self) -> None:
        self._over.acquire()
        if self._error is not None:
            raise RuntimeError("the training has ended") from self._error

    def _train(self) -> None:
        task, watch = self._task, self._watch
        try:
            with (
                tempfile.TemporaryDirectory() as folder,
                _Checkpoints(Path(folder), 1) as checkpoints,
                ProgressDisplay(Console(file=io.StringIO()), _FOREVER) as display,
            ):
                checkpoints.watch = watch
                interrupt = _Interrupt()
                interrupt.watch = watch
                self._fit = Trainer(
                    task,
                    checkpoints,
                    lambda: train_iterator(task.batches, 0, _FOREVER),
                    display=display,
                    interrupt=interrupt,
                    config={},
                    hooks=[self],
                )
                guard = _Guard(display.line)
                guard.watch = watch
                self._fit.writers.append(guard)
                self._programs |= {kind: self._without_guards() for kind in KINDS[1:]}
                self._fit.run()
        except BaseException as error:
            self._error = error
        self._over.release()

    def _without_guards(self) -> Any:
        sums = put(empty_metrics(), replicated(self._task.mesh))
        with mock.patch.object(step_module, "add_step", _add_without_looking):
            return training_programs(self._task, self._fit.state, sums)


class _Watch:
    on = True


class _Interrupt(Interrupt):
    watch: _Watch

    def poll(self) -> None:
        """Looks for a signal."""
        if self.watch.on:
            super().poll()


class _Checkpoints(Checkpoints):
    watch: _Watch

    def check(self) -> None:
        """Looks for errors of the disk."""
        if self.watch.on:
            super().check()


class _Guard(DivergenceGuard):
    watch: _Watch

    def write(self, row: Mapping[str, Any]) -> None:
        """Looks at the loss."""
        if self.watch.on:
            super().write(row)


def _in_circles(task: Task, steps: int) -> Task:
    """Returns the task without an end, its first `steps` batches over and over."""
    config = dataclasses.replace(
        task.config,
        steps=_FOREVER,
        log_every=steps,
        eval_every=_FOREVER,
        checkpoint_every=_FOREVER,
    )
    made = [task.batches.batch(step) for step in range(steps)]
    task.batches.batch = lambda step: made[step % steps]
    return dataclasses.replace(task, config=config)


def _add_without_looking(sums: MetricSums, **step: Any) -> MetricSums:
    """Returns the sums without what was found out: the compiler drops what nothing uses."""
    added = add_step(sums, **step)
    return dataclasses.replace(added, bad_step=sums.bad_step, bad_groups=sums.bad_groups)
