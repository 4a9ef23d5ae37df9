"""The choices that the papers leave open, each changed alone."""

from __future__ import annotations

import dataclasses
from typing import Any

from wave_jax.experiments.jobs import Job, Plan, found
from wave_jax.experiments.scale import contestant
from wave_jax.experiments.section import Section, Table, percent, results
from wave_jax.experiments.training_job import Training, training
from wave_jax.models.config import ModelConfig

_MOST_SEEDS = 2
_CHANGES: tuple[tuple[str, str, dict[str, Any]], ...] = (
    ("modulation, real part, [CLS], no positions (the default)", "modulation", {}),
    ("modulation read as magnitude", "modulation", {"readout": "magnitude"}),
    ("modulation read as imaginary part", "modulation", {"readout": "imag"}),
    ("modulation read as phase", "modulation", {"readout": "phase"}),
    ("interference read as magnitude (its default)", "interference", {}),
    ("interference read as imaginary part", "interference", {"readout": "imag"}),
    ("interference read as real part, mean pooling", "interference",
     {"readout": "real", "pooling": "mean"}),
    ("both operations mixed", "modulation", {"op": "both"}),
    ("mean pooling", "modulation", {"pooling": "mean"}),
    ("maximum pooling", "modulation", {"pooling": "max"}),
    ("sinusoidal positions", "modulation", {"position": "sinusoidal"}),
    ("learned positions", "modulation", {"position": "learned"}),
    ("sentence scope for one variant", "modulation", {"scopes": ("sentence", "input")}),
    ("feed-forward a quarter as wide", "modulation", {"ffn": 0.25}),
    ("feed-forward four times as wide", "modulation", {"ffn": 4}),
    ("two layers", "modulation", {"layers": 2}),
    ("no word dropout", "modulation", {"word_dropout": 0.0}),
)  # fmt: skip


def jobs(plan: Plan) -> list[Job]:
    """Returns the runs of every choice."""
    return [run for _, name, change in _changes(plan) for run in _runs(plan, name, change)]


def draw(plan: Plan) -> Section:
    """Returns one table."""
    rows = []
    for label, name, change in _changes(plan):
        records = found(plan, _runs(plan, name, change))
        rows.append(
            [label, percent(results(records, "validation_accuracy")),
             percent(results(records, "test_accuracy")), str(len(records))]
        )  # fmt: skip
    data = plan.datasets[0]
    error = 100 * (0.9 * 0.1 / max(data.validation, 1)) ** 0.5
    return Section(
        title="Ablations: what the papers leave open",
        text=(
            f"{data.name}, the papers' learning rate and {plan.scale.epochs} epochs, each choice "
            "changed alone; at another rate the order may be another. One standard error of an "
            f"accuracy near 90 % on {data.validation:,} validation texts is {error:.2f} points, so "
            "small differences say little."
        ),
        tables=(Table("Choices", ("choice", "validation %", "test %", "seeds"), rows),),
        deviations=() if data.sentences else ("The texts have no ends of sentences: no scopes.",),
    )


def _changes(plan: Plan) -> list[tuple[str, str, dict[str, Any]]]:
    """Returns those that the texts allow: scopes of sentences need ends of sentences."""
    return [c for c in _CHANGES if plan.datasets[0].sentences or "scopes" not in c[2]]


def _runs(plan: Plan, name: str, change: dict[str, Any]) -> list[Training]:
    base = contestant(name, plan.scale)
    change = dict(change)
    if "ffn" in change:
        change["ffn_dim"] = int(change.pop("ffn") * base.dim)
    model: ModelConfig = dataclasses.replace(base, **change)
    seeds = range(min(plan.seeds, _MOST_SEEDS))
    return [training(plan, name, seed, model=model) for seed in seeds]
