"""[BP] memory and arithmetic of a training step, for each model and batch size."""

from __future__ import annotations

from typing import Any

from wave_jax.experiments.cost_job import Costs
from wave_jax.experiments.costs import Cost, plain_step_cost, row_step_cost
from wave_jax.experiments.figures import STYLES, finish, new_figure
from wave_jax.experiments.jobs import Job, Plan, found
from wave_jax.experiments.scale import CONTESTANTS, SCALES, contestant
from wave_jax.experiments.section import Picture, Section, Table, mib

LENGTH, BATCHES = 128, (16, 32, 64)
_NAMES = ("interference", "modulation", "transformer", "fnet", "mean", "bert")
_ROWS = "modulation, as trained"


def jobs(plan: Plan) -> list[Job]:
    """Returns one measurement for each model and batch size, in the papers' sizes always."""
    del plan
    return [_job(name, batch) for name in (*_NAMES, _ROWS) for batch in BATCHES]


def draw(plan: Plan) -> Section:
    """Returns the table, the picture and the savings."""
    rows = []
    figure, axes = new_figure(1, 2)
    for index, name in enumerate((*_NAMES, _ROWS)):
        records = found(plan, [_job(name, batch) for batch in BATCHES])
        label = _label(name)
        for record in records:
            result = record["result"]
            rows.append(
                [
                    label,
                    str(record["config"]["batch"]),
                    mib(result["bytes"]),
                    mib(result["temporary"]),
                    f"{result['flops'] / 1e9:,.1f}",
                ]
            )
        for panel, key, unit in ((0, "bytes", 2**20), (1, "flops", 1e9)):
            heights = [record["result"][key] / unit for record in records]
            places = [k + (index - 3) * 0.12 for k in range(len(heights))]
            style = STYLES["attention" if name == _ROWS else name]
            axes[0, panel].bar(
                places, heights, 0.11, label=label, color=style["color"], edgecolor="black",
                linewidth=0.4, hatch=("", "//", "..", "xx", "--", "\\\\", "oo")[index],
            )  # fmt: skip
    for panel, label in ((0, "memory of a step (MiB)"), (1, "arithmetic of a step (GFLOP)")):
        axes[0, panel].set_yscale("log")
        axes[0, panel].set_xticks(range(len(BATCHES)), [str(batch) for batch in BATCHES])
        finish(axes[0, panel], "texts a batch", label, legend=False)
    axes[0, 0].set_ylim(bottom=100)
    handles, labels = axes[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=4, frameon=False, fontsize=8)
    return Section(
        title="[BP] resources: a training step's memory and arithmetic",
        text=(
            f"Compiled training steps (loss, gradients, AdamW of all parameters) at {LENGTH} "
            "tokens a text, 768 dimensions and a table of 30,522 rows; BERT is BERT base. Nothing "
            "is allocated: sizes and operations are the compiler's, for the device named above. "
            f"'{_label(_ROWS)}' is the step of this package, which projects each distinct token "
            "once and updates the batch's rows only, in its worst case of no token twice."
        ),
        tables=(
            Table(
                "Training steps",
                ("model", "batch", "memory MiB", "of it temporary MiB", "GFLOP"),
                rows,
            ),
            savings(plan),
        ),
        pictures=(
            Picture("bp-resources", "Memory and arithmetic of a step, logarithmic axes", figure),
        ),
        deviations=(
            "The papers report a GPU's memory in use; these are the compiler's figures, which are "
            "repeatable, and count neither the framework nor the data.",
        ),
    )


def savings(plan: Plan) -> Table:
    """Returns what waves save against BERT base at the paper's batch and length."""
    (bert,) = found(plan, [_job("bert", BATCHES[-1])]) or ({},)
    rows = []
    for name in ("interference", "modulation", _ROWS):
        (record,) = found(plan, [_job(name, BATCHES[-1])]) or ({},)
        if not record or not bert:
            continue
        saved = [
            100 * (1 - record["result"][key] / bert["result"][key]) for key in ("bytes", "flops")
        ]
        rows.append([_label(name), "77.34", f"{saved[0]:.2f}", "85.62", f"{saved[1]:.2f}"])
    head = (
        "model", "paper: memory saved %", "ours: memory saved %", "paper: time saved %",
        "ours: arithmetic saved %",
    )  # fmt: skip
    return Table(f"Savings against BERT base ({BATCHES[-1]} texts of {LENGTH} tokens)", head, rows)


def _job(name: str, batch: int) -> Costs:
    options = {"model": name, "batch": batch, "length": LENGTH}
    return Costs(
        f"resources-{name.replace(', ', '-').replace(' ', '-')}-{batch}", options, _count, 3
    )


def _count(options: dict[str, Any]) -> dict[str, Any]:
    batch, length = options["batch"], options["length"]
    name = "modulation" if options["model"] == _ROWS else options["model"]
    config = contestant(name, SCALES["paper"])
    if options["model"] == _ROWS:
        cost: Cost = row_step_cost(config, batch, length, min(batch * length, 30_592))
    else:
        cost = plain_step_cost(config, batch, length)
    return {"flops": cost.flops, "bytes": cost.bytes, "temporary": cost.temporary}


def _label(name: str) -> str:
    if name == _ROWS:
        return "Wave, modulation, as trained here"
    return "BERT base" if name == "bert" else CONTESTANTS[name]
