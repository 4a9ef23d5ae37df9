"""Notices a training whose loss has been above its start for long."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

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
