"""[BP] figure 1: a text's token embeddings becoming waves."""

from __future__ import annotations

import numpy as np

from wave_jax.experiments.figures import DIVERGING, SEQUENTIAL, new_figure
from wave_jax.experiments.gradients import embeddings_of, gradient_run
from wave_jax.experiments.jobs import Job, Plan, found
from wave_jax.experiments.section import Picture, Section
from wave_jax.experiments.wheels import numbered, wheel


def jobs(plan: Plan) -> list[Job]:
    """Returns the run whose embeddings are drawn."""
    return [gradient_run(plan, "modulation")]


def draw(plan: Plan) -> Section:
    """Returns the picture: embeddings, magnitude, phases, and one dimension as arrows."""
    (record,) = found(plan, jobs(plan))
    text = embeddings_of(record)["text"]
    embedding, magnitude, phase = (
        np.array(text[name]) for name in ("embedding", "magnitude", "phase")
    )
    figure, axes = new_figure(1, 4, width=3.3, height=3.3)
    tokens = numbered(text["tokens"])
    most = np.abs(embedding).max()
    maps = (
        (embedding, DIVERGING, -most, most, "embedding w", tokens),
        (magnitude, SEQUENTIAL, 0, magnitude.max(), "magnitude G = |w|₂ over tokens", ["text"]),
        (phase, SEQUENTIAL, 0, np.pi, "phase α = arccos(w/G), radians", tokens),
    )
    for panel, (values, colors, low, high, name, rows) in zip(axes[0], maps, strict=False):
        image = panel.imshow(values, cmap=colors, vmin=low, vmax=high, aspect="auto")
        panel.set_yticks(range(len(rows)), rows, fontsize=7)
        panel.set_xlabel("dimension")
        panel.set_ylabel("token" if len(rows) > 1 else "")
        panel.set_title(name, fontsize=9)
        figure.colorbar(image, ax=panel, shrink=0.7)
    wheel(axes[0, 3], magnitude[0, 0] * np.exp(1j * phase[:, 0]))
    axes[0, 3].set_title("dimension 0: waves G exp(iα)", fontsize=9)
    return Section(
        "[BP] figure 1: from token embeddings to waves",
        "A text of the test part with the embeddings that modulation learned (before the variants' "
        "dense layer), first dimensions. The magnitude is one for the whole text; each token's "
        "phase says how much of it is the token's own. In a dimension all tokens lie on one "
        "half circle of radius G.",
        pictures=(Picture("bp-figure1", "Embeddings, magnitude, phases and waves", figure),),
    )
