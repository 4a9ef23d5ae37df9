"""A step that met numbers that are not finite, made once more and looked at closely."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from wave_jax.errors import UserError
from wave_jax.training.checkpoint import Checkpoints
from wave_jax.training.compilation import matmul_precision
from wave_jax.training.config_file import load_config
from wave_jax.training.corpus import read_texts
from wave_jax.training.gradients import Learning, dense_gradients, row_gradients
from wave_jax.training.loop import make_task
from wave_jax.training.mesh import make_mesh, place
from wave_jax.training.metrics import empty_sums
from wave_jax.training.nonfinite import load_batch, saved_failures
from wave_jax.training.step import has_rows
from wave_jax.training.task import Task


@dataclasses.dataclass(frozen=True)
class Group:
    """A parameter group before and in the step: values that are not finite, and the norm."""

    name: str
    bad_parameters: int
    bad_gradients: int
    gradient_norm: float


@dataclasses.dataclass(frozen=True)
class Replay:
    """What the step did; `step` counts from 1 here, as people do."""

    step: int
    resumed_from: int
    loss: float
    groups: tuple[Group, ...]
    texts: tuple[str, ...]


def replay(workdir: Path, step: int | None = None, report: Callable[[str], None] = print) -> Replay:
    """Makes the steps from the last good checkpoint up to the failed one, on one device.

    Args:
        workdir: of a run that stopped.
        step: which failure, counted from 1; by default the first.

    Raises:
        UserError: the run has no such failure, or its texts have changed.
    """
    workdir = Path(workdir)
    config = load_config(workdir)
    failures = {facts["step"] + 1: facts for facts in saved_failures(workdir)}
    if not failures:
        raise UserError(f"{workdir} holds no batch to replay: no step of it met bad numbers")
    number = min(failures) if step is None else step
    if number not in failures:
        raise UserError(f"{workdir} holds no batch of step {number}; it has {sorted(failures)}")
    facts = failures[number]
    texts = read_texts(config, workdir)
    task = make_task(config, texts, make_mesh(1, 1))
    state, start = _state_before(task, workdir, facts["step"], facts["saved"], report)
    batch = load_batch(workdir, facts["step"], type(task.batches.batch(0)))
    loss, grads = _look(task, state, batch)
    words = texts.prepared.splits["train"]
    pieces = texts.prepared.tokenizer.tokens
    shown = tuple(" ".join(pieces(words.tokens[int(each)])) for each in facts.get("texts", []))
    groups = tuple(_group(name, state.params[name], grads[name]) for name in sorted(state.params))
    return Replay(number, start, loss, groups, shown)


def _state_before(
    task: Task, workdir: Path, step: int, saved: int, report: Callable[[str], None]
) -> tuple[Any, int]:
    state = task.new_state()
    with Checkpoints(workdir, 1) as checkpoints:
        steps = [found for found in checkpoints.whole_steps(report) if found <= min(step, saved)]
        start = steps[0] if steps else 0
        if start:
            state = checkpoints.restore(start, state).state
    program, root, sums = task.jitted_step(state), task.root_key(), empty_sums()
    with matmul_precision(task.config.precision):
        for number in range(start, step):
            batch = place(task.batches.batch(number), task.mesh)
            state, _ = program(state, sums, root, batch)
    return state, start


def _look(task: Task, state: Any, batch: Any) -> tuple[float, dict[str, Any]]:
    """Returns the mean loss of a step and its gradients by parameter group."""
    c = task.config
    learn = Learning(task.learner, task.mesh, c.label_smoothing, c.accumulate, c.remat)
    gradients = row_gradients if has_rows(task.learner) else dense_gradients

    @jax.jit
    def look(state: Any, batch: Any, key: jax.Array) -> Any:
        found = gradients(learn, state, batch, key)
        loss = found.sums[0] / jnp.maximum(found.sums[2], 1.0)
        grads = dict(found.rest)
        if found.rows is not None:
            grads["embed"] = (grads.get("embed", {}), found.rows)
        return loss, grads

    key = jax.random.fold_in(task.root_key(), state.step)
    with matmul_precision(c.precision):
        loss, grads = look(state, place(batch, task.mesh), key)
    return float(loss), grads


def _group(name: str, params: Any, grads: Any) -> Group:
    def bad(tree: Any) -> int:
        return sum(int(np.sum(~np.isfinite(np.asarray(leaf)))) for leaf in jax.tree.leaves(tree))

    return Group(name, bad(params), bad(grads), float(optax.tree.norm(grads)))
