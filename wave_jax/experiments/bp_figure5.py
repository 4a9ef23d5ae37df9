"""[BP] figure 5: gradient of all word embeddings of the input, over training."""

from __future__ import annotations

from wave_jax.experiments.gradients import draw_gradients, gradient_runs
from wave_jax.experiments.jobs import Job, Plan
from wave_jax.experiments.section import Section


def jobs(plan: Plan) -> list[Job]:
    """Returns the runs whose gradients are recorded."""
    return list(gradient_runs(plan))


def draw(plan: Plan) -> Section:
    """Returns the curves."""
    title = "[BP] figure 5: gradient of all word embeddings of the input"
    return draw_gradients(plan, "bp-figure5", title, "input", "all token embeddings of the input")
