"""What is done every so many steps of a training, besides learning."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any, Protocol

import jax
import numpy as np
from jax.sharding import Mesh

from wave_jax.data.tokenize import TokenizedSplit
from wave_jax.errors import UserError
from wave_jax.probe import summarize
from wave_jax.training.compilation import matmul_precision
from wave_jax.training.config import Config
from wave_jax.training.mesh import replicated
from wave_jax.training.state import Params
from wave_jax.training.task import Task


class Callback(Protocol):
    """Something done every so many steps, such as probing gradients."""

    every: int

    def __call__(self, step: int, params: Params) -> Mapping[str, Any] | None:
        """Takes settled parameters, which it must not keep; returns fields for metrics.jsonl.

        A returned row gets `step`, and 'probe' as its `split` if it names none.
        """


class MetricsWriter(Protocol):
    """Where rows of metrics go."""

    def write(self, row: Mapping[str, Any]) -> None:
        """Takes a row with at least `step` and `split`."""

    def close(self) -> None:
        """Writes out what is still held."""


CallbackFactory = Callable[[Task], Callback]


_TEXTS = 8


def check_probe(config: Config) -> None:
    """Raises UserError where `--probe.every` asks for what cannot be."""
    every, kind = config.probe.every, config.model.kind
    if every < 0:
        raise UserError(f"--probe.every is {every}, expected 0 (never) or a number of steps")
    if every and kind != "wave":
        raise UserError(
            f"--probe.every looks at waves, and --model.kind {kind} has none: leave it out"
        )


class GradientProbe:
    """Measures the gradients of a fixed handful of validation texts; a hook of the training loop.

    The same texts at every step: eight, spread evenly over the validation part, so that the curves
    show the network's change and not the texts'.
    """

    def __init__(self, model: Any, split: TokenizedSplit, mesh: Mesh, every: int) -> None:
        self.every = every
        chosen = np.unique(np.linspace(0, len(split.labels) - 1, _TEXTS).round().astype(int))
        texts = [split.tokens[int(index)] for index in chosen]
        shape = len(texts), max(map(len, texts))
        self._ids, self._mask = np.zeros(shape, np.int32), np.zeros(shape, bool)
        for row, ids in enumerate(texts):
            self._ids[row, : len(ids)], self._mask[row, : len(ids)] = ids, True
        self._labels = split.labels[chosen]
        self._summarize = jax.jit(partial(summarize, model), out_shardings=replicated(mesh))

    def __call__(self, step: int, params: Params) -> dict[str, float]:
        """Returns the fields of a row of metrics.jsonl."""
        del step
        with matmul_precision("float32"):
            found = self._summarize(params, self._ids, self._labels, mask=self._mask)
        return {name: float(value) for name, value in jax.device_get(found).items()}


_ROWS = 5
_STEPS = 200


class DivergenceGuard:
    """A writer of metrics that warns, once, when all recent rows have a loss above the first's.

    Args:
        warn: takes the line.
        seen: rows of an earlier start of the same training, which warned where it was due.

    Attributes:
        warned: whether it has.
    """

    def __init__(self, warn: Callable[[str], None], seen: Iterable[Mapping[str, Any]] = ()) -> None:
        self.warned = False
        self._start: float | None = None
        self._above: list[int] = []
        self._warn: Callable[[str], None] = lambda line: None
        for row in seen:
            self.write(row)
        self._warn = warn

    def write(self, row: Mapping[str, Any]) -> None:
        """Takes a row; those of training count.

        >>> guard = DivergenceGuard(print)
        >>> for step in range(0, 500, 50):
        ...     row = {"split": "train", "step": step, "loss": 2.0 if step else 1.4}
        ...     guard.write(row)  # doctest: +ELLIPSIS
        The loss has been above its start (1.4000) from step 50 to step 250 (now 2.0000): ...
        """
        loss = row.get("loss")
        if row.get("split") != "train" or loss is None:
            return
        if self._start is None:
            self._start = loss
        self._above = [*self._above, row["step"]] if loss > self._start else []
        if self.warned or len(self._above) < _ROWS or self._above[-1] - self._above[0] < _STEPS:
            return
        self.warned = True
        self._warn(
            f"The loss has been above its start ({self._start:.4f}) from step {self._above[0]} to "
            f"step {self._above[-1]} (now {loss:.4f}): this training diverges; a lower "
            "--train.learning-rate or a longer --train.warmup-steps may help"
        )

    def close(self) -> None:
        """There is nothing to write out."""
