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

from wave_jax.training.compilation import Precision, Report, Shape, compile_shapes, shape_of
from wave_jax.training.mesh import place, replicated
from wave_jax.training.state import Params
from wave_jax.training.step import make_eval_step

_RUN_AHEAD = 8  # batches dispatched before the first result is fetched


@dataclasses.dataclass(frozen=True)
class EvalResult:
    """A model's results on a split of N examples."""

    loss: float  # mean cross-entropy (no label smoothing)
    accuracy: float  # share of examples whose largest logit is their label's
    examples: int  # N
    logits: np.ndarray  # float32 [N, C]
    labels: np.ndarray  # int32 [N]


class Evaluator:
    """Evaluates a model on a mesh, whose 'data' axis must divide the batches' rows.

    Keeps one compiled program per padded shape.
    """

    def __init__(self, model: nn.Module, mesh: Mesh, precision: Precision = "float32") -> None:
        self._mesh, self._precision = mesh, precision
        step = make_eval_step(model)

        def evaluate(params: Params, batch: Any) -> tuple[jax.Array, jax.Array, jax.Array]:
            # labels and weights too: another process may hold their rows
            return step(params, batch), batch.labels, batch.weights

        self._step = jax.jit(evaluate, out_shardings=replicated(mesh))
        self._programs: dict[Shape, Any] = {}

    def warm(self, params: Params, batches: Any, report: Report | None = None) -> None:
        """Compiles the shapes of `batches` that are not compiled yet."""
        self._programs |= compile_shapes(
            self._step,
            (params,),
            batches,
            self._mesh,
            precision=self._precision,
            known=self._programs,
            report=report,
        )

    def __call__(
        self, params: Params, batches: Any, poll: Callable[[], None] = lambda: None
    ) -> EvalResult:
        """Returns the result on `batches` (EvalBatches) with `current_params`, on the mesh.

        `poll` is called before every batch and may raise to stop.
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
            if len(waiting) > _RUN_AHEAD:
                fetch()
        while waiting:
            fetch()
        return _result(np.concatenate(logits), np.concatenate(labels), np.asarray(batches.order))


def _result(logits: np.ndarray, labels: np.ndarray, order: np.ndarray) -> EvalResult:
    """Restores the original order; sums in float64, so that batching leaves no trace."""
    back = np.argsort(order)
    logits, labels = logits[back], labels[back]
    wide = logits.astype(np.float64)
    top = wide.max(axis=-1)
    log_sum = top + np.log(np.exp(wide - top[:, None]).sum(axis=-1))
    losses = log_sum - wide[np.arange(len(labels)), labels]
    return EvalResult(
        loss=float(losses.mean()),
        accuracy=float((logits.argmax(axis=-1) == labels).mean()),
        examples=len(labels),
        logits=logits,
        labels=labels,
    )
