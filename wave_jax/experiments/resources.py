"""[BP] parameters, complexity, and resources of a training step, against BERT base."""

from __future__ import annotations

import dataclasses
import math
import statistics
from collections.abc import Sequence
from functools import partial
from typing import Any

from wave_jax.experiments import costs
from wave_jax.experiments.paper_report import CONTENT, STYLE, Section, finish, line, subplots
from wave_jax.experiments.plan import SCALES, Found, Jobs, Plan, model_config
from wave_jax.models.config import ModelConfig

PARAMETERS: dict[str, str] = CONTENT["parameters"]
_LENGTHS, _WIDTHS = tuple(2**k for k in range(4, 13)), (64, 128, 256, 512)
_FIXED = 64  # the width where lengths vary, and the length where widths do
_FITTED = 4  # of the largest lengths
_AS_TRAINED = "modulation, as trained"
_STEPS = ("interference", "modulation", "transformer", "fnet", "mean", "bert", _AS_TRAINED)
_TOKENS, _BATCHES = 128, (16, 32, 64)
_TIMED, _TIMED_BATCH, _TIMED_STEPS = ("interference", "modulation", "bert"), 8, 5
_LABELS: dict[str, str] = CONTENT["labels"] | CONTENT["labels-of-costs"]


def parameter_jobs(plan: Plan) -> Jobs:
    def count() -> dict[str, Any]:
        return {name: costs.count_parameters(_model(name)) for name in PARAMETERS}

    return {"all": [costs.cost_job("parameters", {"models": list(PARAMETERS)}, count)]}


def draw_parameters(plan: Plan, found: Found) -> Section:
    counts, rows = found["all"][0]["result"], []
    figure, axes = subplots(width=6.4, height=3.0)
    for place, (name, formula) in enumerate(PARAMETERS.items()):
        full, without = counts[name]
        rows.append([
            _LABELS[name], f"{formula} + (d + 1) c", f"{without:,}", f"{full:,}",
            CONTENT["papers"]["parameters"].get(name, "–"), _saved(without, counts["bert"][1]),
        ])  # fmt: skip
        color, full, without = STYLE[name]["color"], full / 1e6, without / 1e6
        axes[0, 0].barh(place, full, color="white", edgecolor=color, hatch="//", linewidth=1.2)
        axes[0, 0].barh(place, without, color=color, edgecolor="black", linewidth=0.5)
        axes[0, 0].text(full + 1, place, f"{without:.2f} / {full:.1f}", va="center", fontsize=8)
    axes[0, 0].set_yticks(range(len(rows)), [row[0] for row in rows])
    axes[0, 0].set_xlim(right=135)
    finish(axes[0, 0], "parameters (millions); hatched: the table", "model", legend=False)
    return Section([("parameters", rows)], {"bp-parameters": figure})


def complexity_jobs(plan: Plan) -> Jobs:
    def count(name: str) -> dict[str, Any]:
        return {
            "by_length": [flops(name, _FIXED, length) for length in _LENGTHS],
            "by_width": [flops(name, width, _FIXED) for width in _WIDTHS],
        }

    jobs: Jobs = {}
    for name in CONTENT["operations"]:
        sizes = {"model": name, "lengths": list(_LENGTHS), "widths": list(_WIDTHS)}
        jobs[name] = [costs.cost_job(f"complexity-{name}", sizes, partial(count, name))]
    return jobs


def draw_complexity(plan: Plan, found: Found) -> Section:
    rows, by_length = [], []
    figure, axes = subplots(1, 2)
    for name, (record,) in found.items():
        label, result = _LABELS[name], record["result"]
        lengths, widths = result["by_length"], result["by_width"]
        slopes = [exponent(_LENGTHS[-last:], lengths[-last:]) for last in (_FITTED, 2)]
        slopes.append(exponent(_WIDTHS[-3:], widths[-3:]))
        rows.append([label, *CONTENT["operations"][name], *(f"{slope:.3f}" for slope in slopes)])
        by_length.append([label, *(f"{flops / 1e6:,.2f}" for flops in lengths)])
        line(axes[0, 0], name, _LENGTHS, [flops / 1e6 for flops in lengths], label)
        line(axes[0, 1], name, _WIDTHS, [flops / 1e6 for flops in widths], label)
    for panel, xlabel in ((0, "n (tokens)"), (1, "d (dimensions)")):
        axes[0, panel].set_xscale("log", base=2)
        axes[0, panel].set_yscale("log")
        finish(axes[0, panel], xlabel, "arithmetic (MFLOP)", legend=panel == 0)
    tables = [("exponents", rows), ("operations", by_length)]
    return Section(tables, {"bp-complexity": figure}, {"fixed": _FIXED, "fitted": _FITTED})


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


def step_jobs(plan: Plan) -> Jobs:
    jobs: Jobs = {}
    for name in _STEPS:
        step = costs.row_step_cost if name == _AS_TRAINED else costs.plain_step_cost
        model = _model("modulation" if name == _AS_TRAINED else name)
        for batch in _BATCHES:
            config = {"model": name, "batch": batch, "length": _TOKENS}
            key = f"resources-{name.replace(', ', '-').replace(' ', '-')}-{batch}"
            jobs[name, batch] = [costs.cost_job(key, config, partial(step, model, batch, _TOKENS))]
    for name in _TIMED:
        sizes = {"batch": _TIMED_BATCH, "length": _TOKENS, "steps": _TIMED_STEPS}
        seconds = partial(costs.step_seconds, _model(name), **sizes)
        job = costs.cost_job(f"step-time-{name}", {"model": name, **sizes}, dict, seconds)
        jobs[name, "time"] = [job]
    return jobs


def draw_steps(plan: Plan, found: Found) -> Section:
    rows = [
        [_LABELS[name], str(batch), f"{result['bytes'] / 2**20:,.0f}",
         f"{result['temporary'] / 2**20:,.0f}", f"{result['flops'] / 1e9:,.1f}"]
        for name in _STEPS for batch in _BATCHES for result in _results(found, name, batch)
    ]  # fmt: skip
    figure, axes = subplots(1, 2, height=2.8)
    shown = {name: r for name in _STEPS for r in _results(found, name, _BATCHES[-1])}
    colors = [STYLE["attention" if name == _AS_TRAINED else name]["color"] for name in shown]
    for panel, key, unit, label in (
        (axes[0, 0], "bytes", 2**20, "memory of a step (MiB)"),
        (axes[0, 1], "flops", 1e9, "arithmetic of a step (GFLOP)"),
    ):
        values = [result[key] / unit for result in shown.values()]
        bars = panel.barh(range(len(shown)), values, color=colors)
        texts = [f"{value:,.{0 if value >= 10 else 1}f}" for value in values]
        panel.bar_label(bars, texts, padding=3, fontsize=8)
        panel.margins(x=0.15)
        panel.set_yticks(range(len(shown)), [_LABELS[name] for name in shown])
        panel.set_xticks([])
        panel.yaxis.set_visible(panel is axes[0, 0])
        panel.invert_yaxis()
        finish(panel, label, "", legend=False)
        panel.grid(False)
    tables = [("steps", rows), ("savings", savings_rows(found))]
    sizes = {"tokens": _TOKENS, "batch": _BATCHES[-1]}
    return Section(tables, {"bp-resources": figure}, sizes)


def _results(found: Found, *key: str | int) -> list[dict[str, Any]]:
    return [record["result"] for record in found.get(key, [])]


def savings_rows(found: Found) -> list[list[str]]:
    """Returns what waves save against BERT base, at the papers' batch and length."""

    def saved(name: str, kind: int | str, part: str, key: str) -> str:
        if not {(name, kind), ("bert", kind)} <= found.keys():
            return "–"
        return _saved(*(found[model, kind][0][part][key] for model in (name, "bert")))

    batch, paper, rows = _BATCHES[-1], CONTENT["papers"]["table2"]["AG News"], []
    for name in ("interference", "modulation", _AS_TRAINED):
        theirs = [*map(_saved, paper[name][1:], paper["bert"][1:])] if name in paper else ["–"] * 2
        ours = [saved(name, batch, "result", key) for key in ("bytes", "flops")]
        times = theirs[1], saved(name, "time", "time", "step_seconds")
        rows.append([_LABELS[name], theirs[0], *ours, *times])
    return rows


def _model(name: str) -> ModelConfig:
    return model_config(name, SCALES["paper"])


def _saved(ours: float, others: float) -> str:
    return f"{100 * (1 - ours / others):.2f}"
