"""[BP] embedding independence: correlations between dimensions, before and after training."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from wave_jax.experiments.figures import DIVERGING, STYLES, finish, new_figure
from wave_jax.experiments.gradients import (
    NAMES,
    embeddings_of,
    gradient_deviations,
    gradient_run,
    gradient_runs,
)
from wave_jax.experiments.jobs import Job, Plan, found_one
from wave_jax.experiments.scale import CONTESTANTS
from wave_jax.experiments.section import Picture, Section, Table

_MOMENTS = ("before", "after")


def jobs(plan: Plan) -> list[Job]:
    """Returns the runs whose embeddings are recorded."""
    return list(gradient_runs(plan))


def draw(plan: Plan) -> Section:
    """Returns statistics, histograms and heat maps."""
    measured = {
        name: embeddings_of(record)
        for name in NAMES
        if (record := found_one(plan, gradient_run(plan, name))) is not None
    }
    head = (
        "model", "moment", "mean |r|", "of independent ones", "largest |r|", "effective rank",
        "dimensions", "tokens", "moved %",
    )  # fmt: skip
    return Section(
        title="[BP] independence of the embeddings' dimensions",
        text=(
            "Correlation between every two dimensions of the token embeddings over the distinct "
            "tokens of the training texts. Independent dimensions show a mean |r| of about "
            "sqrt(2 / (pi tokens)); the effective rank (exponential of the entropy of the "
            "correlation matrix's eigenvalues) is the number of dimensions if none are correlated. "
            "Embeddings are drawn independently, so what is not moved stays so: 'moved' is by how "
            "much the table changed in training, relative to its size before. BERT's embeddings "
            "are drawn four times as small as the others' and move relatively more."
        ),
        tables=(Table("Correlations between dimensions", head, _rows(measured)),),
        pictures=_pictures(measured),
        deviations=gradient_deviations(plan),
    )


def _rows(measured: Mapping[str, Mapping[str, Any]]) -> list[list[str]]:
    return [
        [CONTESTANTS[name], moment, f"{s['mean_abs']:.5f}", f"{s['expected_mean_abs']:.5f}",
         f"{s['max_abs']:.4f}", f"{s['effective_rank']:.2f}", f"{s['dim']}", f"{s['tokens']:,}",
         f"{100 * row['moved']:.1f}" if moment == "after" else "–"]
        for name, row in measured.items()
        for moment in _MOMENTS
        for s in (row[moment],)
    ]  # fmt: skip


def _pictures(measured: Mapping[str, Mapping[str, Any]]) -> tuple[Picture, Picture]:
    histogram, axes = new_figure(1, len(measured), width=3.0, height=2.8)
    heat, panels = new_figure(2, len(measured), width=2.5, height=2.5)
    for column, (name, row) in enumerate(measured.items()):
        for moment, style in zip(_MOMENTS, ("--", "-"), strict=True):
            counts = np.array(row[moment]["histogram"], float)
            edges = np.linspace(-1, 1, len(counts) + 1)
            color = "#999999" if moment == "before" else STYLES[name]["color"]
            axes[0, column].stairs(
                100 * counts / counts.sum(), edges, label=f"{moment} training",
                color=color, linestyle=style, linewidth=1.6,
            )  # fmt: skip
        axes[0, column].set_xlim(-0.3, 0.3)
        title = CONTESTANTS[name]
        finish(axes[0, column], "correlation", "share of pairs (%)", title=title, legend=False)
        for place, moment in enumerate(_MOMENTS):
            corner = np.array(row[moment]["corner"])
            image = panels[place, column].imshow(corner, cmap=DIVERGING, vmin=-0.5, vmax=0.5)
            panels[place, column].set_xlabel("dimension")
            panels[place, column].set_ylabel("dimension")
            panels[place, column].set_title(f"{CONTESTANTS[name]}\n{moment} training", fontsize=8)
    handles, labels = axes[0, 0].get_legend_handles_labels()
    histogram.legend(handles, labels, loc="outside lower center", ncols=2, frameon=False)
    heat.colorbar(image, ax=panels, shrink=0.7, label="correlation")
    return (
        Picture("bp-independence-histogram", "Correlations of all pairs", histogram),
        Picture("bp-independence-map", "Correlations of the first 48 dimensions", heat),
    )
