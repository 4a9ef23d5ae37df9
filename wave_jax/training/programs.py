"""The compiled programs of training: one for every shape, of single steps and of stretches."""

from __future__ import annotations

from typing import Any

from wave_jax.training.compilation import Report, abstract, compile_all
from wave_jax.training.metrics import Sums
from wave_jax.training.shapes import Shape, abstract_batch, batch_templates
from wave_jax.training.state import State
from wave_jax.training.stretch import stack_templates
from wave_jax.training.task import Task


def training_programs(
    task: Task, state: State, sums: Sums, report: Report | None = None
) -> dict[Shape, Any]:
    """Returns a program for every shape that a batch, or a stack of batches, can have.

    Args:
        task: what is learned.
        state: on its devices; only its shapes matter.
        sums: likewise.
        report: told how far compilation is.
    """
    fixed = (abstract(state), abstract(sums), abstract(task.root_key()))
    templates = batch_templates(task.batches)
    kinds = [(task.jitted_step(state), templates)]
    if task.stretch > 1:
        scan = task.jitted_step(state, scan=True)
        kinds.append((scan, stack_templates(templates, task.stretch)))
    programs: dict[Shape, Any] = {}
    for step, batches in kinds:
        arguments = {
            shape: (*fixed, abstract_batch(batch, task.mesh)) for shape, batch in batches.items()
        }
        precision = task.config.precision
        programs |= compile_all(step, arguments, precision=precision, report=report)
    return programs
