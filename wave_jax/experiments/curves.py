"""Curves over training: [WN] figure 7, [BP] figures 2, 3 and 5, and the classifier's gradient."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from wave_jax.experiments.paper_report import Section, finish, line, new_figure, spread
from wave_jax.experiments.plan import LABELS, Job, Plan, Record
from wave_jax.experiments.training_runs import training

_MODELS = ("interference", "modulation", "transformer")
_EVERY = 10  # batches
_GOALS = (0.80, 0.85, 0.90)
_QUICK_SEEDS = 2  # every run is tested 50 times on the way
_BATCH = 32  # for gradients
_GRADIENTS = {
    "cls": ("bp-figure3", "the [CLS] embeddings"),
    "input": ("bp-figure5", "all token embeddings of the input"),
    "classifier": ("bp-classifier", "the classifier's parameters"),
}


def figure7_jobs(plan: Plan) -> dict[str, list[Job]]:
    options: dict[str, Any] = {"epochs": plan.scale.long_epochs, "schedule": "constant"}
    return {
        name: [training(plan, name, 0, use_checkpoint=name == "transformer", **options)]
        for name in _MODELS
    }


def draw_figure7(plan: Plan, found: dict[str, list[Record]]) -> Section:
    figure, axes = new_figure(2, 2)
    table = []
    for name, (record,) in found.items():
        for column, split in enumerate(("train", "validation")):
            rows = _rows(record, split)
            epochs = [row["epoch"] for row in rows]
            for panel, key, factor in ((0, "accuracy", 100), (1, "loss", 1)):
                values = [factor * row[key] for row in rows]
                line(axes[panel, column], name, epochs, values, LABELS[name])
        best, last = max(rows, key=lambda row: row["accuracy"]), rows[-1]
        table.append([
            LABELS[name], f"{100 * best['accuracy']:.2f}", f"{best['epoch']:g}",
            f"{100 * last['accuracy']:.2f}", f"{last['loss']:.3f}",
            f"{100 * record['result']['test_accuracy']:.2f}",
        ])  # fmt: skip
    for column, split in enumerate(("training", "validation")):
        finish(axes[0, column], "epoch", f"{split} accuracy (%)", legend=column == 0)
        finish(axes[1, column], "epoch", f"{split} loss (nats)", legend=False)
    return Section([("epochs", table)], {"wn-figure7": figure})


def figure2_jobs(plan: Plan) -> dict[str, list[Job]]:
    options: dict[str, Any] = {"steps": plan.scale.quick_steps, "schedule": "constant"}
    options |= {"callbacks": {"test": _EVERY}}
    return {
        name: [
            training(plan, name, seed, use_checkpoint=name == "transformer", **options)
            for seed in range(min(plan.seeds, _QUICK_SEEDS))
        ]
        for name in _MODELS
    }


def draw_figure2(plan: Plan, found: dict[str, list[Record]]) -> Section:
    figure, axes = new_figure(width=5.6)
    table = []
    for name, records in found.items():
        curves = [[row["accuracy"] for row in _rows(record, "test")] for record in records]
        steps = [row["step"] for row in _rows(records[0], "test")]
        points = list(zip(*curves, strict=True))
        means = [100 * sum(point) / len(point) for point in points]
        color = line(axes[0, 0], name, steps, means, LABELS[name])
        bounds = [[100 * pick(point) for point in points] for pick in (min, max)]
        axes[0, 0].fill_between(steps, *bounds, color=color, alpha=0.15, lw=0)
        end = spread([100 * curve[-1] for curve in curves])
        table.append([LABELS[name], *(_reached(steps, curves, goal) for goal in _GOALS), end])
    for goal in _GOALS:
        axes[0, 0].axhline(100 * goal, color="#999999", linewidth=0.7)
    finish(axes[0, 0], "batches of 64 texts", "test accuracy (%)")
    values = {"every": _EVERY, "runs": min(plan.seeds, _QUICK_SEEDS)}
    return Section([("convergence", table)], {"bp-figure2": figure}, values)


def gradient_jobs(plan: Plan) -> dict[str, list[Job]]:
    """Returns the runs that gradients and embeddings are recorded of: one a model, with seed 0."""
    steps = plan.scale.gradient_steps
    options: dict[str, Any] = {"steps": steps, "batch_size": _BATCH, "schedule": "constant"}
    options["callbacks"] = {"gradients": _EVERY, "embeddings": steps}
    return {
        name: [training(plan, name, 0, use_checkpoint=name in ("transformer", "bert"), **options)]
        for name in (*_MODELS, "bert")
    }


def draw_gradients(key: str, plan: Plan, found: dict[str, list[Record]]) -> Section:
    """Returns the norms of one gradient over training, that of 'cls', 'input' or 'classifier'."""
    item, what = _GRADIENTS[key]
    figure, axes = new_figure(width=6.6)
    table = []
    for name, (record,) in found.items():
        rows = _rows(record, "gradients")
        norms = [row[key] for row in rows]
        line(axes[0, 0], name, [row["step"] for row in rows], norms, LABELS[name])
        tenth, ordered = max(1, len(norms) // 10), sorted(norms)
        table.append([
            LABELS[name], f"{sum(norms[:tenth]) / tenth:.2e}", f"{ordered[len(norms) // 2]:.2e}",
            f"{sum(norms[-tenth:]) / tenth:.2e}", f"{ordered[-1] / max(ordered[0], 1e-30):,.0f}",
        ])  # fmt: skip
    axes[0, 0].set_yscale("log")
    ylabel = f"L2 norm of the gradient\n({what})"
    finish(axes[0, 0], f"batches of {_BATCH} texts", ylabel, legend=False)
    figure.legend(loc="outside upper center", ncols=4, frameon=False, fontsize=8)
    values = {"what": what, "batch": _BATCH, "every": _EVERY}
    return Section([("gradients", table)], {item: figure}, values)


def _rows(record: Record, split: str) -> list[dict[str, Any]]:
    return [row for row in record["result"]["rows"] if row["split"] == split]


def _reached(steps: Sequence[int], curves: Sequence[Sequence[float]], goal: float) -> str:
    """Returns the first steps with an accuracy of `goal`, and how many of the runs reach it."""
    above = [[s for s, y in zip(steps, curve, strict=True) if y >= goal] for curve in curves]
    reached = [found[0] for found in above if found]
    if not reached:
        return "not reached"
    some = f"{len(reached)} of {len(curves)}: " if len(reached) < len(curves) else ""
    return some + spread(reached, 0)
