"""[BP] parameters of each model, with and without the embedding table."""

from __future__ import annotations

from typing import Any

from wave_jax.experiments.cost_job import Costs
from wave_jax.experiments.costs import VOCABULARY, count_parameters
from wave_jax.experiments.figures import STYLES, finish, new_figure
from wave_jax.experiments.jobs import Job, Plan, found
from wave_jax.experiments.scale import CONTESTANTS, SCALES, contestant
from wave_jax.experiments.section import Picture, Section, Table

_NAMES = ("interference", "modulation", "fnet", "mean", "transformer", "bert")
FORMULAE = {
    "interference": "4 d² + 8 d",
    "modulation": "4 d² + 8 d",
    "fnet": "4 d² + 9 d",
    "mean": "0",
    "transformer": "12 d² + 15 d",
    "bert": "12 (12 d² + 13 d) + d² + 517 d",
}
_PAPER = {"interference": "2.4", "modulation": "2.4", "bert": "100, with the table"}


def jobs(plan: Plan) -> list[Job]:
    """Returns the one measurement, in the papers' sizes always."""
    del plan
    return [_job()]


def draw(plan: Plan) -> Section:
    """Returns the table and the picture."""
    (record,) = found(plan, [_job()]) or ({"result": {}},)
    counts: dict[str, Any] = record["result"]
    rows, figure_rows = [], []
    for name in _NAMES:
        if name not in counts:
            continue
        full, without = counts[name]
        label = "BERT base" if name == "bert" else CONTESTANTS[name]
        rows.append(
            [label, FORMULAE[name] + " + (d + 1) c", f"{without:,}", f"{full:,}",
             _PAPER.get(name, "–"), f"{100 * (1 - without / counts['bert'][1]):.2f}"]
        )  # fmt: skip
        figure_rows.append((name, label, without / 1e6, full / 1e6))
    figure, axes = new_figure(width=6.4, height=3.0)
    for place, (name, _, without, full) in enumerate(figure_rows):
        color = STYLES[name]["color"]
        axes[0, 0].barh(place, full, color="white", edgecolor=color, hatch="//", linewidth=1.2)
        axes[0, 0].barh(place, without, color=color, edgecolor="black", linewidth=0.5)
        axes[0, 0].text(full + 1, place, f"{without:.2f} / {full:.1f}", va="center", fontsize=8)
    axes[0, 0].set_yticks(range(len(figure_rows)), [label for _, label, *_ in figure_rows])
    axes[0, 0].set_xlim(right=135)
    finish(axes[0, 0], "parameters (millions); hatched: the table", "model", legend=False)
    return Section(
        title="[BP] parameters",
        text=(
            f"At d = 768 with c = 4 classes and a table of {VOCABULARY:,} rows. The papers' 2.4 "
            "million leave the table out; both figures are given for all models."
        ),
        tables=(
            Table(
                "Parameters",
                ("model", "formula without table", "without table", "with table",
                 "paper (millions)", "fewer than BERT, without table %"),
                rows,
            ),
        ),
        pictures=(
            Picture("bp-parameters", "Parameters without and with the embedding table", figure),
        ),
    )  # fmt: skip


def _job() -> Costs:
    return Costs("parameters", {"models": list(_NAMES)}, _count, 5)


def _count(options: dict[str, Any]) -> dict[str, Any]:
    paper = SCALES["paper"]
    return {name: count_parameters(contestant(name, paper)) for name in options["models"]}
