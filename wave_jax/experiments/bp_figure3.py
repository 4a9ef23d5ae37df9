"""[BP] figure 3: gradient of the [CLS] embedding, over training."""

from __future__ import annotations

from wave_jax.experiments.gradients import draw_gradients, gradient_runs
from wave_jax.experiments.jobs import Job, Plan
from wave_jax.experiments.section import Section


def jobs(plan: Plan) -> list[Job]:
    """Returns the runs whose gradients are recorded."""
    return list(gradient_runs(plan))


def draw(plan: Plan) -> Section:
    """Returns the curves."""
    title = "[BP] figure 3: gradient of the [CLS] embedding"
    return draw_gradients(plan, "bp-figure3", title, "cls", "the [CLS] embeddings")
