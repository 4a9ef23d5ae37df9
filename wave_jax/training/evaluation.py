"""Evaluation of a split: every example once, results in the original order."""

from __future__ import annotations

import dataclasses
from collections import deque
from collections.abc import Callable
from typing import Any

import jax
import numpy as np
from flax import linen as nn
from jax.sharding import Mesh

from wave_jax.training.compilation import (
    Precision,
    Report,
    Shape,
    abstract,
    abstract_batch,
    batch_templates,
    compile_all,
    shape_of,
)
from wave_jax.training.mesh import make_mesh, place, replicated
from wave_jax.training.state import Params
from wave_jax.training.step import make_eval_step

_AHEAD = 8  # batches dispatched before the first result is waited for


@dataclasses.dataclass(frozen=True)
class EvalResult:
    """What a model makes of a split.

    Attributes:
        loss: mean cross-entropy (no label smoothing).
        accuracy: share of examples whose largest logit is their label's.
        examples: how many there are.
        predictions: int32 [N].
        logits: float32 [N, C].
        labels: int32 [N].
    """

    loss: float
    accuracy: float
    examples: int
    predictions: np.ndarray
    logits: np.ndarray
    labels: np.ndarray


class Evaluator:
    """Evaluates a model on a mesh; keeps one compiled program per padded shape.

    Args:
        model: as for `make_eval_step`.
        mesh: its 'data' axis must divide the batches' rows.
        precision: of matrix products.
    """

    def __init__(self, model: nn.Module, mesh: Mesh, precision: Precision = "float32") -> None:
        self._mesh, self._precision = mesh, precision
        step = make_eval_step(model)

        def evaluate(params: Params, batch: Any) -> tuple[jax.Array, jax.Array, jax.Array]:
            # labels and weights go along, as a process may hold the rows of others too
            return step(params, batch), batch.labels, batch.weights

        self._step = jax.jit(evaluate, out_shardings=replicated(mesh))
        self._programs: dict[Shape, Any] = {}

    def warm(self, params: Params, batches: Any, report: Report | None = None) -> None:
        """Compiles the shapes of `batches` that are not compiled yet."""
        missing = {
            shape: (abstract(params), abstract_batch(batch, self._mesh))
            for shape, batch in batch_templates(batches).items()
            if shape not in self._programs
        }
        self._programs |= compile_all(self._step, missing, precision=self._precision, report=report)

    def __call__(
        self, params: Params, batches: Any, poll: Callable[[], None] = lambda: None
    ) -> EvalResult:
        """Returns the result on `batches` (EvalBatches) with settled, placed parameters.

        Args:
            poll: called before every batch; may raise to stop.
        """
        self.warm(params, batches)
        waiting: deque[tuple[jax.Array, jax.Array, jax.Array]] = deque()
        logits, labels = [], []

        def fetch() -> None:
            out, wanted, weights = jax.device_get(waiting.popleft())
            logits.append(out[weights > 0])
            labels.append(wanted[weights > 0])

        for index in range(len(batches)):
            poll()
            placed = place(batches.batch(index), self._mesh)
            waiting.append(self._programs[shape_of(placed)](params, placed))
            if len(waiting) > _AHEAD:
                fetch()
        while waiting:
            fetch()
        return _result(np.concatenate(logits), np.concatenate(labels), np.asarray(batches.order))


def evaluate_split(
    model: nn.Module,
    params: Params,
    batches: Any,
    *,
    mesh: Mesh | None = None,
    precision: Precision = "float32",
) -> EvalResult:
    """Returns the result of a model with settled parameters on `batches` (EvalBatches).

    One device by default; for repeated use keep an `Evaluator`.
    """
    mesh = make_mesh(1, 1) if mesh is None else mesh
    placed = jax.device_put(params, replicated(mesh))
    return Evaluator(model, mesh, precision)(placed, batches)


def _result(logits: np.ndarray, labels: np.ndarray, order: np.ndarray) -> EvalResult:
    """Puts rows back in the original order; float64 sums, so that batching leaves no trace."""
    back = np.empty_like(order)
    back[order] = np.arange(len(order))
    logits, labels = logits[back], labels[back]
    predictions = logits.argmax(axis=-1).astype(np.int32)
    wide = logits.astype(np.float64)
    top = wide.max(axis=-1)
    log_sum = top + np.log(np.exp(wide - top[:, None]).sum(axis=-1))
    losses = log_sum - wide[np.arange(len(labels)), labels]
    return EvalResult(
        loss=float(losses.mean()),
        accuracy=float((predictions == labels).mean()),
        examples=len(labels),
        predictions=predictions,
        logits=logits,
        labels=labels,
    )
