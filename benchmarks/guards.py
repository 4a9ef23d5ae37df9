"""What guarding a training costs: the same loop with its guards and without, in turn."""

from __future__ import annotations

import contextlib
import dataclasses
import io
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from unittest import mock

import jax
import numpy as np
from rich.console import Console

from benchmarks.implementations.wave import make_task
from benchmarks.report import Report
from benchmarks.setting import Setting
from benchmarks.workers import workers
from wave_jax.data.batches import EvalBatches
from wave_jax.models import table_rows
from wave_jax.runs.checkpoints import Checkpoints
from wave_jax.runs.progress import ProgressDisplay
from wave_jax.runs.signals import Interrupt
from wave_jax.training import step as step_module
from wave_jax.training.callbacks import DivergenceGuard
from wave_jax.training.compilation import (
    enable_compilation_cache,
    keep_freed_memory,
    training_programs,
)
from wave_jax.training.mesh import put, replicated
from wave_jax.training.metrics import MetricSums, add_step, empty_metrics
from wave_jax.training.task import Task
from wave_jax.training.trainer import Trainer

KINDS = ("guarded", "without guards", "without guards, again")
_STEPS = 50  # of a turn, with one row of metrics, as by default
_ROUNDS = 4  # times `repeats`: differences of a percent need many rounds
_DRAWS = 2000


def run(setting: Setting, repeats: int) -> Report:
    """Times rounds of three turns, two of them of one kind, which shows the noise."""
    report, rounds = Report(), _ROUNDS * repeats
    target = "benchmarks.guards:GuardedTraining"
    with workers({"training": (target, setting)}, report.notes) as running:
        seconds = running["training"].ask("measure", rounds)
    steps = {kind: 1e3 * np.array(seconds[kind]) / _STEPS for kind in KINDS}
    for kind, values in steps.items():
        report.add(f"a step, {kind}", values, "ms")
    guarded, without, again = steps.values()
    for name, one in (("cost of the guards", guarded), ("the same twice", again)):
        percent = 100 * (one / without - 1)
        report.add(f"{name}, round by round", percent, "%")
        low, high = _interval(percent)
        report.facts[f"{name}: 95 % interval of the median, %"] = f"{low:+.2f} to {high:+.2f}"
    report.facts["rounds"] = rounds
    return report


def _interval(values: np.ndarray) -> tuple[float, float]:
    """Returns the 95 % bootstrap interval of the median."""
    draws = np.random.default_rng(0).choice(values, (_DRAWS, len(values)))
    low, high = np.percentile(np.median(draws, axis=1), [2.5, 97.5])
    return float(low), float(high)


class GuardedTraining:
    """The loop of `train.py`, its guards switched on or off every turn, on the same batches.

    A guarded turn is the loop as it is. One without guards runs a step that was compiled without
    the check for numbers that are not finite, polls no signals, does not ask the checkpoints for
    errors and compares no losses. State, memory and threads are the same, so that nothing else
    differs.
    """

    def __init__(self, setting: Setting) -> None:
        enable_compilation_cache()
        keep_freed_memory()
        texts = setting.tokenized
        validation = EvalBatches(
            texts.splits["validation"].tokens,
            texts.splits["validation"].labels,
            batch_size=setting.batch_size,
            table_rows=table_rows(texts.tokenizer.vocab_size),
        )
        self._task = make_task(setting, validation=validation)

    def measure(self, rounds: int) -> dict[str, list[float]]:
        """Returns the seconds of each kind's turns; one more round, to warm up, is not counted."""
        order = [KINDS[(first + i) % 3] for first in range(rounds + 1) for i in range(3)]
        task = _repeating(self._task, _STEPS, turns=len(order) + 1)
        with (
            tempfile.TemporaryDirectory() as folder,
            Checkpoints(Path(folder), 1) as checkpoints,
            ProgressDisplay(Console(file=io.StringIO()), task.total_steps) as display,
            Interrupt() as interrupt,
        ):
            divergence = DivergenceGuard(display.line)
            guards = ((interrupt, "poll"), (checkpoints, "check"), (divergence, "write"))
            turns = _Turns(order, guards)
            trainer = Trainer(
                task,
                checkpoints,
                display=display,
                interrupt=interrupt,
                config={},
                callbacks=[turns],
            )
            trainer.writers.append(divergence)
            turns.trainer, turns.unguarded = trainer, _programs_without_guards(trainer)
            with contextlib.suppress(_Measured):
                trainer.run()
        return {kind: turns.seconds[kind][1:] for kind in KINDS}


class _Measured(Exception):
    """All turns have been made."""


class _Turns:
    """A callback at the end of every turn: notes its time and prepares the next one.

    The first turn that it sees, before those of `order`, is not noted.
    """

    every = _STEPS
    trainer: Trainer
    unguarded: dict[Any, Any]

    def __init__(self, order: list[str], guards: tuple[tuple[Any, str], ...]) -> None:
        self._order, self._guards = iter(order), guards
        self._kind, self._start = "", 0.0
        self._guarded: dict[Any, Any] = {}
        self.seconds: dict[str, list[float]] = {kind: [] for kind in ("", *KINDS)}

    def __call__(self, step: int, params: Any) -> Mapping[str, Any] | None:
        self.seconds[self._kind].append(time.perf_counter() - self._start)
        jax.block_until_ready(params)  # made for the callback, which is no part of a step
        self._guarded = self._guarded or self.trainer.programs
        self._kind = next(self._order, "")
        if not self._kind:
            raise _Measured
        on = self._kind == "guarded"
        self.trainer.programs = self._guarded if on else self.unguarded
        for guard, method in self._guards:
            if on:
                vars(guard).pop(method, None)
            else:
                setattr(guard, method, lambda *arguments: None)
        self._start = time.perf_counter()
        return None


def _repeating(task: Task, steps: int, turns: int) -> Task:
    """Returns the task with its first `steps` batches over and over, and nothing in between."""
    total = steps * turns
    batches = [task.batches.batch(step) for step in range(steps)]
    task.batches.batch = lambda step: batches[step % steps]
    config = dataclasses.replace(
        task.config, steps=total, log_every=steps, eval_every=total, checkpoint_every=total + 1
    )
    return dataclasses.replace(task, config=config)


def _programs_without_guards(trainer: Trainer) -> dict[Any, Any]:
    sums = put(empty_metrics(), replicated(trainer.task.mesh))
    with mock.patch.object(step_module, "add_step", add_step_unchecked):
        return training_programs(trainer.task, trainer.state, sums)


def add_step_unchecked(sums: MetricSums, **step: Any) -> MetricSums:
    """Returns the sums without the results of the check, which the compiler then leaves out."""
    added = add_step(sums, **step)
    return dataclasses.replace(added, bad_step=sums.bad_step, bad_groups=sums.bad_groups)
