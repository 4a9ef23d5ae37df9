"""[BP] parameters, complexity, and resources of a training step, against BERT base."""

from __future__ import annotations

import dataclasses
import math
import statistics
from collections.abc import Sequence
from functools import partial
from typing import Any

from wave_jax.experiments import costs
from wave_jax.experiments.paper_report import (
    STYLES,
    Picture,
    Section,
    Table,
    finish,
    line,
    new_figure,
)
from wave_jax.experiments.plan import LABELS, SCALES, Job, Plan, Record, model_config
from wave_jax.models.config import ModelConfig

PAPER_TABLE_2 = {
    "AG News": {
        "interference": (90.91, 0.30, 146.90), "modulation": (91.66, 0.32, 147.02),
        "bert": (94.64, 1.28, 1034.99),
    },
    "DBpedia14": {
        "interference": (97.93, 0.30, 979.78), "modulation": (98.05, 0.30, 991.15),
        "bert": (99.28, 1.27, 2734.76),
    },
    "IMDB": {
        "interference": (87.00, 0.37, 119.57), "modulation": (87.02, 0.37, 119.96),
        "bert": (93.94, 1.27, 220.46),
    },
}  # fmt: skip
"""[WN] table 2: accuracy in percent, video memory in GB, seconds per epoch."""

PARAMETERS = {
    "interference": "4 d² + 8 d",
    "modulation": "4 d² + 8 d",
    "fnet": "4 d² + 9 d",
    "mean": "0",
    "transformer": "12 d² + 15 d",
    "bert": "12 (12 d² + 13 d) + d² + 517 d",
}
"""Without the embedding table and the classifier's (d + 1) c."""

_PAPER_MILLIONS = {"interference": "2.4", "modulation": "2.4", "bert": "100, with the table"}
_LENGTHS, _WIDTHS = tuple(2**k for k in range(4, 13)), (64, 128, 256, 512)
_FIXED = 64  # the width where lengths vary, and the length where widths do
_FITTED = 4  # of the largest lengths
_OPERATIONS = {
    "interference": ("8 n d² + O(n d)", "O(n d²)"),
    "modulation": ("8 n d² + O(n d)", "O(n d²)"),
    "transformer": ("24 n d² + 4 n² d", "O(n d² + n² d)"),
    "attention": ("4 n² d", "O(n² d)"),
    "fnet": ("8 n d² + 4 n² d + O(n d log d)", "O(n d² + n² d)"),
}
_AS_TRAINED = "modulation, as trained"
_STEPS = ("interference", "modulation", "transformer", "fnet", "mean", "bert", _AS_TRAINED)
_TOKENS, _BATCHES = 128, (16, 32, 64)
_TIMED, _TIMED_BATCH, _TIMED_STEPS = ("interference", "modulation", "bert"), 8, 5
_LABELS = LABELS | {
    "bert": "BERT base",
    "attention": "attention alone",
    _AS_TRAINED: "Wave, modulation, as trained here",
}
_Found = dict[Any, list[Record]]


def parameter_jobs(plan: Plan) -> dict[str, list[Job]]:
    """Returns one count of all models."""

    def count() -> dict[str, Any]:
        return {name: costs.count_parameters(_model(name)) for name in PARAMETERS}

    return {"all": [costs.cost_job("parameters", {"models": list(PARAMETERS)}, count)]}


def draw_parameters(plan: Plan, found: _Found) -> Section:
    """Returns parameters with and without the embedding table."""
    counts, rows = found["all"][0]["result"], []
    figure, axes = new_figure(width=6.4, height=3.0)
    for place, (name, formula) in enumerate(PARAMETERS.items()):
        full, without = counts[name]
        rows.append([
            _LABELS[name], f"{formula} + (d + 1) c", f"{without:,}", f"{full:,}",
            _PAPER_MILLIONS.get(name, "–"), f"{100 * (1 - without / counts['bert'][1]):.2f}",
        ])  # fmt: skip
        color, full, without = STYLES[name]["color"], full / 1e6, without / 1e6
        axes[0, 0].barh(place, full, color="white", edgecolor=color, hatch="//", linewidth=1.2)
        axes[0, 0].barh(place, without, color=color, edgecolor="black", linewidth=0.5)
        axes[0, 0].text(full + 1, place, f"{without:.2f} / {full:.1f}", va="center", fontsize=8)
    axes[0, 0].set_yticks(range(len(rows)), [row[0] for row in rows])
    axes[0, 0].set_xlim(right=135)
    finish(axes[0, 0], "parameters (millions); hatched: the table", "model", legend=False)
    head = (
        "model", "formula without table", "without table", "with table", "paper (millions)",
        "fewer than BERT, without table %",
    )  # fmt: skip
    return Section(
        "[BP] parameters",
        f"At d = 768 with c = 4 classes and a table of {costs.VOCABULARY:,} rows. The papers' 2.4 "
        "million leave the table out; both figures are given for all models.",
        [Table("Parameters", head, rows)],
        [Picture("bp-parameters", "Parameters without and with the embedding table", figure)],
    )


def complexity_jobs(plan: Plan) -> dict[str, list[Job]]:
    """Returns one measurement for each model, over lengths and over widths."""

    def count(name: str) -> dict[str, Any]:
        return {
            "by_length": [flops(name, _FIXED, length) for length in _LENGTHS],
            "by_width": [flops(name, width, _FIXED) for width in _WIDTHS],
        }

    sizes: dict[str, Any] = {"lengths": list(_LENGTHS), "widths": list(_WIDTHS)}
    return {
        name: [costs.cost_job(f"complexity-{name}", {"model": name, **sizes}, partial(count, name))]
        for name in _OPERATIONS
    }


def draw_complexity(plan: Plan, found: _Found) -> Section:
    """Returns formulae, exponents and curves."""
    rows, by_length = [], []
    figure, axes = new_figure(1, 2)
    for name, (record,) in found.items():
        label, result = _LABELS[name], record["result"]
        lengths, widths = result["by_length"], result["by_width"]
        slopes = (
            exponent(_LENGTHS[-_FITTED:], lengths[-_FITTED:]),
            exponent(_LENGTHS[-2:], lengths[-2:]),
            exponent(_WIDTHS[-3:], widths[-3:]),
        )
        rows.append([label, *_OPERATIONS[name], *(f"{slope:.3f}" for slope in slopes)])
        by_length.append([label, *(f"{flops / 1e6:,.2f}" for flops in lengths)])
        line(axes[0, 0], name, _LENGTHS, [flops / 1e6 for flops in lengths], label)
        line(axes[0, 1], name, _WIDTHS, [flops / 1e6 for flops in widths], label)
    for panel, xlabel in ((0, "n (tokens)"), (1, "d (dimensions)")):
        axes[0, panel].set_xscale("log", base=2)
        axes[0, panel].set_yscale("log")
        finish(axes[0, panel], xlabel, "arithmetic (MFLOP)", legend=panel == 0)
    head = (
        "model", "operations", "order", f"exponent in n, {_LENGTHS[-_FITTED]:,} and up",
        "exponent in n, last two", "exponent in d",
    )  # fmt: skip
    return Section(
        "[BP] complexity",
        f"Operations of one text's loss and gradients, from the compiled program: over n at d = "
        f"{_FIXED}, over d at n = {_FIXED}. The formulae count the forward pass of one layer with "
        "the feed-forward as wide as the embeddings (four times for the Transformer, twice for "
        "FNet); the gradients take about twice as much again (none for FNet's Fourier matrix). "
        f"Exponents in n are the slopes of log(operations) over log(n) for the {_FITTED} largest "
        "n, and between the last two; an exponent just below 1 comes from the compiler, which "
        "counts a little less a token for the longest text. Where d is small, what is linear in d "
        "weighs on its exponent.",
        [
            Table("Formulae and exponents", head, rows),
            Table("MFLOP by number of tokens", ("model", *map(str, _LENGTHS)), by_length),
        ],
        [Picture("bp-complexity", "Operations over length and width, logarithmic", figure)],
        [
            "FNet mixes by a product with each text's own Fourier matrix, so that padding changes "
            "nothing; with a fast transform of padded texts its n² would be n log n.",
        ],
    )


def exponent(sizes: Sequence[int], flops: Sequence[float]) -> float:
    """Returns the slope of the least-squares line through (log size, log flops).

    >>> round(exponent([1, 2, 4], [3, 12, 48]), 6)
    2.0
    """
    return statistics.linear_regression([*map(math.log, sizes)], [*map(math.log, flops)]).slope


def flops(name: str, dim: int, length: int) -> float:
    """Returns the operations of one text's loss and gradients, without dropout."""
    if name == "attention":
        return costs.attention_cost(dim, length)["flops"]
    heads = 1 if name == "transformer" else None  # so that attention's width is `dim`
    none: dict[str, Any] = {"dropout": 0.0, "word_dropout": 0.0}
    config = dataclasses.replace(_model(name), dim=dim, heads=heads, **none)
    return costs.gradient_cost(config, length)["flops"]


def step_jobs(plan: Plan) -> dict[tuple[str, int | str], list[Job]]:
    """Returns measurements by model and batch size, or 'time'."""
    jobs: dict[tuple[str, int | str], list[Job]] = {}
    for name in _STEPS:
        for batch in _BATCHES:
            if name == _AS_TRAINED:
                distinct = min(batch * _TOKENS, 30_592)
                cost = partial(costs.row_step_cost, _model("modulation"), batch, _TOKENS, distinct)
            else:
                cost = partial(costs.plain_step_cost, _model(name), batch, _TOKENS)
            config = {"model": name, "batch": batch, "length": _TOKENS}
            key = f"resources-{name.replace(', ', '-').replace(' ', '-')}-{batch}"
            jobs[name, batch] = [costs.cost_job(key, config, cost)]
    for name in _TIMED:
        sizes = {"batch": _TIMED_BATCH, "length": _TOKENS, "steps": _TIMED_STEPS}
        seconds = partial(costs.step_seconds, _model(name), **sizes)
        config = {"model": name, **sizes}
        jobs[name, "time"] = [costs.cost_job(f"step-time-{name}", config, lambda: {}, seconds)]
    return jobs


def draw_steps(plan: Plan, found: _Found) -> Section:
    """Returns memory and arithmetic of training steps, and what waves save."""
    rows = []
    figure, axes = new_figure(1, 2)
    for index, name in enumerate(_STEPS):
        measured = {n: found[name, n][0]["result"] for n in _BATCHES if (name, n) in found}
        rows += [
            [_LABELS[name], str(batch), f"{result['bytes'] / 2**20:,.0f}",
             f"{result['temporary'] / 2**20:,.0f}", f"{result['flops'] / 1e9:,.1f}"]
            for batch, result in measured.items()
        ]  # fmt: skip
        style = STYLES["attention" if name == _AS_TRAINED else name]
        for panel, key, unit in ((0, "bytes", 2**20), (1, "flops", 1e9)):
            axes[0, panel].bar(
                [k + (index - 3) * 0.12 for k in range(len(measured))],
                [result[key] / unit for result in measured.values()],
                0.11, label=_LABELS[name], color=style["color"], edgecolor="black", linewidth=0.4,
                hatch=("", "//", "..", "xx", "--", "\\\\", "oo")[index],
            )  # fmt: skip
    for panel, label in ((0, "memory of a step (MiB)"), (1, "arithmetic of a step (GFLOP)")):
        axes[0, panel].set_yscale("log")
        axes[0, panel].set_xticks(range(len(_BATCHES)), [str(batch) for batch in _BATCHES])
        finish(axes[0, panel], "texts a batch", label, legend=False)
    axes[0, 0].set_ylim(bottom=100)
    handles, labels = axes[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=4, frameon=False, fontsize=8)
    head = ("model", "batch", "memory MiB", "of it temporary MiB", "GFLOP")
    return Section(
        "[BP] resources: a training step's memory, arithmetic and time",
        f"Compiled training steps (loss, gradients, AdamW of all parameters) at {_TOKENS} tokens a "
        f"text, 768 dimensions and a table of {costs.VOCABULARY:,} rows; BERT is BERT base. Memory "
        "and arithmetic are the compiler's figures for the device named above; nothing is "
        f"allocated for them. '{_LABELS[_AS_TRAINED]}' is the step of this package, here with no "
        "token twice: it computes the wave and the feed-forward of [CLS] alone, which is all that "
        "[CLS] pooling needs, and updates the batch's rows of the table only.",
        [Table("Training steps", head, rows), draw_savings(found)],
        [Picture("bp-resources", "Memory and arithmetic of a step, logarithmic axes", figure)],
        [
            "The papers report a GPU's memory in use; these are the compiler's figures, which are "
            "repeatable, and count neither the framework nor the data. Parameters, gradients and "
            "AdamW's moments of BERT base take 1.75 GB in float32 before any activation, more than "
            "the paper's 1.28 GB in all, so how that was measured remains open.",
        ],
    )


def draw_savings(found: _Found) -> Table:
    """Returns what waves save against BERT base, at the papers' batch and length."""

    def saved(name: str, kind: int | str, part: str, key: str) -> str:
        if not {(name, kind), ("bert", kind)} <= found.keys():
            return "–"
        wave, bert = (found[model, kind][0][part][key] for model in (name, "bert"))
        return f"{100 * (1 - wave / bert):.2f}"

    batch, paper, rows = _BATCHES[-1], PAPER_TABLE_2["AG News"], []
    for name in ("interference", "modulation", _AS_TRAINED):
        theirs = ["–", "–"]
        if name in paper:
            pairs = zip(paper[name][1:], paper["bert"][1:], strict=True)
            theirs = [f"{100 * (1 - wave / bert):.2f}" for wave, bert in pairs]
        ours = [saved(name, batch, "result", key) for key in ("bytes", "flops")]
        times = theirs[1], saved(name, "time", "time", "step_seconds")
        rows.append([_LABELS[name], theirs[0], *ours, *times])
    head = (
        "model", "paper: memory %", "ours: memory %", "ours: arithmetic %", "paper: time %",
        f"ours: time %, {_TIMED_BATCH} texts",
    )  # fmt: skip
    return Table(
        f"Saved against BERT base ({batch} texts of {_TOKENS} tokens; the paper's from its table "
        "2, while its abstract says 77.34 % less memory and 85.62 % less time than BERT base "
        "(modulation, AG News))",
        head,
        rows,
    )


def _model(name: str) -> ModelConfig:
    return model_config(name, SCALES["paper"])
