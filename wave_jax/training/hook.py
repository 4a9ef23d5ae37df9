"""What is done every so many steps of a training, besides learning."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol

from wave_jax.training.state import Params
from wave_jax.training.task import Task


class Hook(Protocol):
    """Something done every so many steps, such as probing gradients."""

    every: int

    def __call__(self, step: int, params: Params) -> Mapping[str, Any] | None:
        """Takes settled parameters, which it must not keep; returns fields for metrics.jsonl.

        A returned row gets `step`, and 'probe' as its `split` if it names none.
        """


HookMaker = Callable[[Task], Hook]
