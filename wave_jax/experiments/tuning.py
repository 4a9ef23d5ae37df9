"""Learning rates chosen on the validation part."""

from __future__ import annotations

from wave_jax.experiments.datasets import Dataset
from wave_jax.experiments.jobs import Plan
from wave_jax.experiments.training_job import RATE, Training, training

_MEAN_FACTOR = 10  # a mean has no layer between table and classifier and takes larger steps


def rates(plan: Plan, name: str) -> tuple[float, ...]:
    """Returns the learning rates that are tried for a contestant."""
    factor = _MEAN_FACTOR if name == "mean" else 1
    return tuple(round(rate * factor, 10) for rate in plan.scale.learning_rates)


def tuned(plan: Plan, name: str, dataset: Dataset | None = None) -> list[Training]:
    """Returns the runs of all seeds at the rate that validated best; first those that find it.

    Every rate is tried with seed 0. Until all of them are recorded the papers' rate stands for the
    best; `best_runs` leaves the trials out.
    """
    trials = [training(plan, name, 0, dataset=dataset, rate=rate) for rate in rates(plan, name)]
    return [*trials, *best_runs(plan, name, dataset)]


def best_runs(plan: Plan, name: str, dataset: Dataset | None = None) -> list[Training]:
    """Returns the runs of all seeds at the best rate so far."""
    rate = best_rate(plan, name, dataset)
    return [training(plan, name, seed, dataset=dataset, rate=rate) for seed in range(plan.seeds)]


def best_rate(plan: Plan, name: str, dataset: Dataset | None = None) -> float:
    """Returns the rate with the best validation accuracy among those recorded."""
    scores = {}
    for rate in rates(plan, name):
        run = training(plan, name, 0, dataset=dataset, rate=rate)
        record = plan.records.find(run.key)
        if record is not None:
            scores[rate] = record["result"]["validation_accuracy"]
    return max(scores, key=lambda rate: scores[rate]) if scores else RATE


def at_papers_rate(plan: Plan, name: str, dataset: Dataset | None = None) -> list[Training]:
    """Returns the runs of all seeds at the papers' learning rate."""
    return [training(plan, name, seed, dataset=dataset) for seed in range(plan.seeds)]
