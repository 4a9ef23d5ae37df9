"""[BP] figure 2: quick convergence, test accuracy after every 10 of the first batches."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from wave_jax.experiments.deviations import without_checkpoint
from wave_jax.experiments.figures import STYLES, finish, line, new_figure
from wave_jax.experiments.jobs import Job, Plan, found
from wave_jax.experiments.scale import CONTESTANTS
from wave_jax.experiments.section import Picture, Section, Table, spread
from wave_jax.experiments.training_job import Training, training

_NAMES = ("interference", "modulation", "transformer")
_EVERY = 10
_GOALS = (0.80, 0.85, 0.90)
_MOST_SEEDS = 2  # every run has 50 tests on the way


def jobs(plan: Plan) -> list[Job]:
    """Returns the short runs."""
    return [run for name in _NAMES for run in _runs(plan, name)]


def draw(plan: Plan) -> Section:
    """Returns the curves, and the batches to reach each accuracy."""
    figure, axes = new_figure(width=5.6)
    rows = []
    for name in _NAMES:
        records = found(plan, _runs(plan, name))
        curves = [_curve(record) for record in records]
        if not curves:
            continue
        steps = [step for step, _ in curves[0]]
        means = [
            100 * sum(curve[k][1] for curve in curves) / len(curves) for k in range(len(steps))
        ]
        line(axes[0, 0], name, steps, means, CONTESTANTS[name])
        bounds = [
            [100 * pick(curve[k][1] for curve in curves) for k in range(len(steps))]
            for pick in (min, max)
        ]
        axes[0, 0].fill_between(steps, *bounds, color=STYLES[name]["color"], alpha=0.15, lw=0)
        rows.append(
            [CONTESTANTS[name], *(_reached(curves, goal) for goal in _GOALS),
             spread([100 * curve[-1][1] for curve in curves], 2)]
        )  # fmt: skip
    for goal in _GOALS:
        axes[0, 0].axhline(100 * goal, color="#999999", linewidth=0.7)
    finish(axes[0, 0], "batches of 64 texts", "test accuracy (%)")
    head = ("model", *(f"batches to {100 * goal:.0f} %" for goal in _GOALS), "at the end %")
    return Section(
        title="[BP] figure 2: quick convergence",
        text=(
            f"Test accuracy after every {_EVERY} batches of 64 texts, constant learning rate 1e-3 "
            f"after a warm-up of 50 batches, mean over {len(_runs(plan, 'modulation'))} seeds, "
            "shaded from the least to the greatest."
        ),
        tables=(Table("Batches to reach an accuracy", head, rows),),
        pictures=(Picture("bp-figure2", "Test accuracy by number of batches", figure),),
        deviations=without_checkpoint(plan),
    )


def _runs(plan: Plan, name: str) -> list[Training]:
    return [
        training(
            plan, name, seed, steps=plan.scale.quick_steps, schedule="constant",
            watches=(("test", _EVERY),), given=name == "transformer",
        )
        for seed in range(min(plan.seeds, _MOST_SEEDS))
    ]  # fmt: skip


def _curve(record: dict[str, Any]) -> list[tuple[int, float]]:
    rows = record["result"]["rows"]
    return [(row["step"], row["accuracy"]) for row in rows if row["split"] == "test"]


def _reached(curves: Sequence[list[tuple[int, float]]], goal: float) -> str:
    firsts = [
        next((step for step, accuracy in curve if accuracy >= goal), None) for curve in curves
    ]
    reached = [step for step in firsts if step is not None]
    if not reached or len(reached) == len(curves):
        return spread(reached, 0) if reached else "not reached"
    return f"{len(reached)} of {len(curves)}: {spread(reached, 0)}"
