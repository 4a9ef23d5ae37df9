"""Where a run stands: all that resuming needs besides the arrays and the data's position."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any


@dataclasses.dataclass
class Position:
    """Changed by the loop, written with every checkpoint.

    Attributes:
        step: steps made.
        elapsed: seconds of training so far, compilation and evaluation not counted.
        window: seconds of `elapsed` that belong to the training row still being summed.
        validated: step of the last validation, so that one cut short is made at resume.
        best_accuracy: best validation accuracy so far, or -1 before the first validation.
        best_step: the earliest step that had it.
        without_better: validations since then, for early stopping.
    """

    step: int = 0
    elapsed: float = 0.0
    window: float = 0.0
    validated: int = 0
    best_accuracy: float = -1.0
    best_step: int = 0
    without_better: int = 0

    def record(self, accuracy: float) -> bool:
        """Takes note of a validation; returns whether it is the best (of equals the earlier is)."""
        self.validated = self.step
        better = accuracy > self.best_accuracy
        if better:
            self.best_accuracy, self.best_step, self.without_better = accuracy, self.step, 0
        else:
            self.without_better += 1
        return better

    def to_json(self) -> dict[str, Any]:
        """Returns the fields as plain values."""
        return dataclasses.asdict(self)

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Position:
        """Returns the position that `to_json` gave."""
        return cls(**values)
