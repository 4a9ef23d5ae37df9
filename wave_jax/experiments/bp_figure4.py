"""[BP] figure 4: two variants of a text's tokens as waves, and their superposition."""

from __future__ import annotations

import numpy as np

from wave_jax.experiments.figures import new_figure
from wave_jax.experiments.gradients import embeddings_of, gradient_run
from wave_jax.experiments.jobs import Job, Plan, found
from wave_jax.experiments.section import Picture, Section
from wave_jax.experiments.wheels import numbered, wheel


def jobs(plan: Plan) -> list[Job]:
    """Returns the run whose variants are drawn."""
    return [gradient_run(plan, "modulation")]


def draw(plan: Plan) -> Section:
    """Returns the picture: both variants, their sum and their product, in one dimension."""
    (record,) = found(plan, jobs(plan))
    text = embeddings_of(record)["text"]
    waves = [
        np.array(text[name]["magnitude"]) * np.exp(1j * np.array(text[name]["phase"]))
        for name in ("variant_1", "variant_2")
    ]
    figure, axes = new_figure(1, 4, width=3.1, height=2.9)
    shown = (
        (waves[0], "variant Z"),
        (waves[1], "variant Z'"),
        (waves[0] + waves[1], "interference Z + Z'"),
        (waves[0] * waves[1], "modulation Z · Z'"),
    )
    for panel, (wave, name) in zip(axes[0], shown, strict=True):
        wheel(panel, wave[:, 0])
        panel.set_title(name, fontsize=9)
    figure.supxlabel("tokens: " + "   ".join(numbered(text["tokens"])), fontsize=9)
    return Section(
        "[BP] figure 4: two variants meeting",
        "The same text after the dense layer that makes two variants of it, dimension 0, with the "
        "parameters that modulation learned. The sum keeps each token's own share as its real "
        "part; the product multiplies magnitudes and adds phases.",
        pictures=(Picture("bp-figure4", "Two variants, their sum and their product", figure),),
    )
