"""[BP] gradient of the classifier, over training."""

from __future__ import annotations

from wave_jax.experiments.gradients import draw_gradients, gradient_runs
from wave_jax.experiments.jobs import Job, Plan
from wave_jax.experiments.section import Section


def jobs(plan: Plan) -> list[Job]:
    """Returns the runs whose gradients are recorded."""
    return list(gradient_runs(plan))


def draw(plan: Plan) -> Section:
    """Returns the curves."""
    title = "[BP] gradient of the classifier"
    return draw_gradients(plan, "bp-classifier", title, "classifier", "the classifier's parameters")
