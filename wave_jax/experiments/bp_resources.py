"""[BP] memory and arithmetic of a training step, for each model and batch size."""

from __future__ import annotations

from typing import Any

from wave_jax.experiments.cost_job import Costs
from wave_jax.experiments.costs import Cost, plain_step_cost, row_step_cost
from wave_jax.experiments.figures import STYLES, finish, new_figure
from wave_jax.experiments.jobs import Job, Plan, found, found_one
from wave_jax.experiments.paper import HEADLINE, TABLE_2
from wave_jax.experiments.scale import CONTESTANTS, SCALES, contestant
from wave_jax.experiments.section import Picture, Section, Table, mib
from wave_jax.experiments.step_time import StepTime

LENGTH, BATCHES, TIMED_BATCH = 128, (16, 32, 64), 8
_NAMES = ("interference", "modulation", "transformer", "fnet", "mean", "bert")
_ROWS = "modulation, as trained"
_TIMED = {"interference": 15.0, "modulation": 15.0, "bert": 60.0}  # and estimated seconds


def jobs(plan: Plan) -> list[Job]:
    """Returns one measurement for each model and batch size, in the papers' sizes always."""
    del plan
    times = [_time_job(name) for name in _TIMED]
    return [*(_job(name, batch) for name in (*_NAMES, _ROWS) for batch in BATCHES), *times]


def draw(plan: Plan) -> Section:
    """Returns the table, the picture and the savings."""
    measured = {
        name: found(plan, [_job(name, batch) for batch in BATCHES]) for name in (*_NAMES, _ROWS)
    }
    head = ("model", "batch", "memory MiB", "of it temporary MiB", "GFLOP")
    return Section(
        title="[BP] resources: a training step's memory, arithmetic and time",
        text=(
            f"Compiled training steps (loss, gradients, AdamW of all parameters) at {LENGTH} "
            "tokens a text, 768 dimensions and a table of 30,522 rows; BERT is BERT base. For "
            "memory and arithmetic nothing is allocated: they are the compiler's figures for the "
            f"device named above. '{_label(_ROWS)}' is the step of this package, here with no "
            "token twice: it computes the wave and the feed-forward of [CLS] alone, which is all "
            "that [CLS] pooling needs, and updates the batch's rows of the table only."
        ),
        tables=(Table("Training steps", head, _rows(measured)), savings(plan)),
        pictures=(_picture(measured),),
        deviations=(
            "The papers report a GPU's memory in use; these are the compiler's figures, which are "
            "repeatable, and count neither the framework nor the data. Parameters, gradients and "
            "AdamW's moments of BERT base take 1.75 GB in float32 before any activation, more than "
            "the paper's 1.28 GB in all, so how that was measured remains open.",
        ),
    )


def savings(plan: Plan) -> Table:
    """Returns what waves save against BERT base at the paper's batch and length."""
    batch = BATCHES[-1]
    bert = found_one(plan, _job("bert", batch))
    rows = []
    for name in ("interference", "modulation", _ROWS):
        record = found_one(plan, _job(name, batch))
        if record is None or bert is None:
            continue
        ours = [_saved(record["result"][key], bert["result"][key]) for key in ("bytes", "flops")]
        paper = ["–", "–"]
        if name in TABLE_2["AG News"]:
            (_, *wave), (_, *base) = TABLE_2["AG News"][name], TABLE_2["AG News"]["bert"]
            paper = [_saved(w, b) for w, b in zip(wave, base, strict=True)]
        rows.append([_label(name), paper[0], *ours, paper[1], _saved_time(plan, name)])
    head = (
        "model", "paper: memory %", "ours: memory %", "ours: arithmetic %", "paper: time %",
        f"ours: time %, {TIMED_BATCH} texts",
    )  # fmt: skip
    return Table(
        f"Saved against BERT base ({batch} texts of {LENGTH} tokens; the paper's from its table 2, "
        f"while its abstract says {HEADLINE})",
        head,
        rows,
    )


def _saved_time(plan: Plan, name: str) -> str:
    if name not in _TIMED:
        return "–"
    wave, bert = (found_one(plan, _time_job(n)) for n in (name, "bert"))
    if wave is None or bert is None:
        return "–"
    return _saved(wave["time"]["step_seconds"], bert["time"]["step_seconds"])


def _saved(ours: float, theirs: float) -> str:
    return f"{100 * (1 - ours / theirs):.2f}"


def _rows(measured: dict[str, list[dict[str, Any]]]) -> list[list[str]]:
    return [
        [_label(name), str(record["config"]["batch"]), mib(result["bytes"]),
         mib(result["temporary"]), f"{result['flops'] / 1e9:,.1f}"]
        for name, records in measured.items()
        for record in records
        for result in (record["result"],)
    ]  # fmt: skip


def _picture(measured: dict[str, list[dict[str, Any]]]) -> Picture:
    figure, axes = new_figure(1, 2)
    for index, (name, records) in enumerate(measured.items()):
        style = STYLES["attention" if name == _ROWS else name]
        for panel, key, unit in ((0, "bytes", 2**20), (1, "flops", 1e9)):
            heights = [record["result"][key] / unit for record in records]
            places = [k + (index - 3) * 0.12 for k in range(len(heights))]
            axes[0, panel].bar(
                places, heights, 0.11, label=_label(name), color=style["color"], edgecolor="black",
                linewidth=0.4, hatch=("", "//", "..", "xx", "--", "\\\\", "oo")[index],
            )  # fmt: skip
    for panel, label in ((0, "memory of a step (MiB)"), (1, "arithmetic of a step (GFLOP)")):
        axes[0, panel].set_yscale("log")
        axes[0, panel].set_xticks(range(len(BATCHES)), [str(batch) for batch in BATCHES])
        finish(axes[0, panel], "texts a batch", label, legend=False)
    axes[0, 0].set_ylim(bottom=100)
    handles, labels = axes[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=4, frameon=False, fontsize=8)
    return Picture("bp-resources", "Memory and arithmetic of a step, logarithmic axes", figure)


def _time_job(name: str) -> StepTime:
    return StepTime(name, TIMED_BATCH, LENGTH, _TIMED[name])


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
