"""Learning rates chosen on the validation part."""

from __future__ import annotations

import dataclasses
from typing import Any

from wave_jax.experiments.jobs import Plan
from wave_jax.experiments.scale import contestant
from wave_jax.experiments.sources import PreparedSource
from wave_jax.experiments.training_job import RATE, Training, training

_MEAN_FACTOR = 10  # a mean has no layer between table and classifier and takes larger steps


def rates(plan: Plan, name: str) -> tuple[float, ...]:
    """Returns the learning rates that are tried for a contestant."""
    factor = _MEAN_FACTOR if name == "mean" else 1
    return tuple(round(rate * factor, 10) for rate in plan.scale.learning_rates)


def tuned(plan: Plan, name: str, **changes: Any) -> list[Training]:
    """Returns the runs of all seeds at the rate that validated best; first those that find it.

    Every rate is tried with seed 0. Until all of them are recorded the papers' rate stands for the
    best; `best_runs` leaves the trials out.

    Args:
        changes: fields of `ModelConfig` that differ from the contestant's own; `given`, as of
            `training`.
    """
    trials = [_run(plan, name, 0, rate, changes) for rate in rates(plan, name)]
    return [*trials, *best_runs(plan, name, **changes)]


def best_runs(plan: Plan, name: str, **changes: Any) -> list[Training]:
    """Returns the runs of all seeds at the best rate so far."""
    rate = best_rate(plan, name, **changes)
    return [_run(plan, name, seed, rate, changes) for seed in range(plan.seeds)]


def best_rate(plan: Plan, name: str, **changes: Any) -> float:
    """Returns the rate with the best validation accuracy among those recorded."""
    scores = {}
    for rate in rates(plan, name):
        record = plan.records.find(_run(plan, name, 0, rate, changes).key)
        if record is not None:
            scores[rate] = record["result"]["validation_accuracy"]
    return max(scores, key=lambda rate: scores[rate]) if scores else RATE


def at_papers_rate(plan: Plan, name: str, dataset: PreparedSource | None = None) -> list[Training]:
    """Returns the runs of all seeds at the papers' learning rate."""
    return [training(plan, name, seed, dataset=dataset) for seed in range(plan.seeds)]


def _run(plan: Plan, name: str, seed: int, rate: float, changes: dict[str, Any]) -> Training:
    fields = {key: value for key, value in changes.items() if key != "given"}
    model = dataclasses.replace(contestant(name, plan.scale), **fields)
    return training(plan, name, seed, model=model, rate=rate, given=changes.get("given"))
