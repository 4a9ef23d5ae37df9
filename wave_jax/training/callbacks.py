"""What is called while training: callbacks every so many steps, and writers of metrics."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any, Protocol

import jax
import numpy as np
from jax.sharding import Mesh

from wave_jax.data.tokenize import TokenizedSplit
from wave_jax.probe import summarize
from wave_jax.training.compilation import matmul_precision
from wave_jax.training.mesh import replicated
from wave_jax.training.state import Params
from wave_jax.training.task import Task

_PROBED_TEXTS = 8
_DIVERGED_ROWS, _DIVERGED_STEPS = 5, 200  # rows above the start, and steps between them


class Callback(Protocol):
    """Called every `every` steps, for example to probe gradients."""

    every: int  # 0 is never

    def __call__(self, step: int, params: Params) -> Mapping[str, Any] | None:
        """Takes the current parameters, which it must not keep; returns fields of a metrics row.

        The row gets `step`, and 'probe' as its `split` if it names none.
        """


class MetricsWriter(Protocol):
    """Receives the rows of metrics."""

    def write(self, row: Mapping[str, Any]) -> None:
        """Takes a row with at least `step` and `split`."""

    def close(self) -> None:
        """Flushes what is buffered."""


CallbackFactory = Callable[[Task], Callback]


class GradientProbe:
    """Callback that measures the gradients of eight fixed texts, spread evenly over a split."""

    def __init__(self, model: Any, split: TokenizedSplit, mesh: Mesh, every: int) -> None:
        self.every = every
        last = len(split.labels) - 1
        chosen = np.unique(np.linspace(0, last, _PROBED_TEXTS).round().astype(int))
        texts, lengths = [split.tokens[int(i)] for i in chosen], split.tokens.lengths[chosen]
        self._mask = np.arange(lengths.max()) < lengths[:, None]
        self._ids = np.zeros(self._mask.shape, np.int32)
        self._ids[self._mask] = np.concatenate(texts)
        self._labels = split.labels[chosen]
        self._summarize = jax.jit(partial(summarize, model), out_shardings=replicated(mesh))

    def __call__(self, step: int, params: Params) -> dict[str, float]:
        """Returns the fields of a row of metrics.jsonl."""
        with matmul_precision("float32"):
            found = self._summarize(params, self._ids, self._labels, mask=self._mask)
        return {name: float(value) for name, value in jax.device_get(found).items()}


class DivergenceGuard:
    """Metrics writer that warns once when the training loss stays above its first value.

    `seen` are rows from before the training was resumed, which are not warned of again.
    """

    def __init__(self, warn: Callable[[str], None], seen: Iterable[Mapping[str, Any]] = ()) -> None:
        self._warn, self._start = warn, math.nan
        self._above: list[int] = []
        self._warned = any(self._diverges(row) for row in seen)

    def write(self, row: Mapping[str, Any]) -> None:
        """Takes a row; those of other splits than 'train' are ignored."""
        if not self._diverges(row) or self._warned:
            return
        self._warned = True
        self._warn(
            f"The loss has been above its start ({self._start:.4f}) from step {self._above[0]} to "
            f"step {self._above[-1]} (now {row['loss']:.4f}): this training diverges; a lower "
            "--train.learning-rate or a longer --train.warmup-steps may help"
        )

    def _diverges(self, row: Mapping[str, Any]) -> bool:
        loss = row.get("loss")
        if row["split"] != "train" or loss is None:  # null where it was not finite
            return False
        if math.isnan(self._start):
            self._start = loss
        self._above = [*self._above, row["step"]] if loss > self._start else []
        long = len(self._above) >= _DIVERGED_ROWS
        return long and self._above[-1] - self._above[0] >= _DIVERGED_STEPS

    def close(self) -> None:
        """Does nothing."""
