"""Evaluation of a split: every example once, results in the original order."""

from __future__ import annotations

import dataclasses
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import numpy as np
from flax import linen as nn
from jax.sharding import Mesh

from wave_jax.training.compilation import Report, Shape, compile_shapes, shape_of
from wave_jax.training.config import Precision
from wave_jax.training.mesh import place, replicated
from wave_jax.training.state import Params
from wave_jax.training.step import eval_step

_RUN_AHEAD = 8  # batches dispatched before the first result is fetched


@dataclasses.dataclass(frozen=True)
class EvalResult:
    """A model's results on a split of N examples."""

    loss: float  # mean cross-entropy (no label smoothing)
    accuracy: float  # share of examples whose largest logit is their label's
    macro_f1: float  # mean of F1 over the classes that occur or are predicted
    examples: int  # N
    logits: np.ndarray  # float32 [N, C]
    labels: np.ndarray  # int32 [N]


class Evaluator:
    """Evaluates a model on a mesh, with one compiled program for each padded shape."""

    def __init__(self, model: nn.Module, mesh: Mesh, precision: Precision = "float32") -> None:
        def evaluate(params: Params, batch: Any) -> tuple[jax.Array, jax.Array, jax.Array]:
            # labels and weights too: another process may hold their rows
            return eval_step(model, params, batch), batch.labels, batch.weights

        self._mesh, self._programs = mesh, dict[Shape, Any]()
        step = jax.jit(evaluate, out_shardings=replicated(mesh))
        self._compile = partial(compile_shapes, step, mesh=mesh, precision=precision)

    def warm(self, params: Params, batches: Any, report: Report = lambda done, total: None) -> None:
        """Compiles the shapes of `batches` that are not compiled yet."""
        self._programs |= self._compile((params,), batches, known=self._programs, report=report)

    def __call__(
        self, params: Params, batches: Any, poll: Callable[[], None] = lambda: None
    ) -> EvalResult:
        """Returns the result of `current_params` on EvalBatches; `poll` may raise to stop."""
        self.warm(params, batches)
        waiting, found = deque[Any](), []

        def fetch() -> None:
            logits, labels, weights = jax.device_get(waiting.popleft())
            found.append((logits[weights > 0], labels[weights > 0]))

        for index in range(len(batches)):
            poll()
            placed = place(batches.batch(index), self._mesh)
            waiting.append(self._programs[shape_of(placed)](params, placed))
            if len(waiting) > _RUN_AHEAD:
                fetch()
        while waiting:
            fetch()
        back = np.argsort(batches.order)
        logits, labels = (np.concatenate(parts)[back] for parts in zip(*found, strict=True))
        return score(logits, labels)


def score(logits: np.ndarray, labels: np.ndarray) -> EvalResult:
    """Returns the result for `logits` [N, C]; sums in float64, so that batching leaves no trace."""
    wide = logits.astype(np.float64)
    top = wide.max(axis=-1)
    log_sum = top + np.log(np.exp(wide - top[:, None]).sum(axis=-1))
    loss = float((log_sum - wide[np.arange(len(labels)), labels]).mean())
    predicted = logits.argmax(axis=-1)
    hits, classes = predicted == labels, logits.shape[-1]
    both = np.bincount(np.concatenate([predicted, labels]), minlength=classes)
    f1 = 2 * np.bincount(labels[hits], minlength=classes) / np.maximum(both, 1)
    accuracy, macro_f1 = float(hits.mean()), float(f1[both > 0].mean())
    return EvalResult(loss, accuracy, macro_f1, len(labels), logits, labels)
