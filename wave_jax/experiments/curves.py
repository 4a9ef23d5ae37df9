"""Curves over training: [WN] figure 7, [BP] figures 2, 3 and 5, and the classifier's gradient."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from wave_jax.experiments.paper_report import (
    Picture,
    Section,
    Table,
    finish,
    line,
    new_figure,
    spread,
)
from wave_jax.experiments.plan import LABELS, Job, Plan, Record
from wave_jax.experiments.training_runs import training, without_checkpoint

_MODELS = ("interference", "modulation", "transformer")
_EVERY = 10  # batches
_GOALS = (0.80, 0.85, 0.90)
_QUICK_SEEDS = 2  # every run is tested 50 times on the way
_BATCH = 32  # for gradients
_GRADIENTS = {
    "bp-figure3": ("cls", "figure 3: gradient of the [CLS] embedding", "the [CLS] embeddings"),
    "bp-figure5": (
        "input",
        "figure 5: gradient of all word embeddings of the input",
        "all token embeddings of the input",
    ),
    "bp-classifier": ("classifier", "gradient of the classifier", "the classifier's parameters"),
}


def figure7_jobs(plan: Plan) -> dict[str, list[Job]]:
    """Returns one long run for each model, with seed 0."""
    options: dict[str, Any] = {"epochs": plan.scale.long_epochs, "schedule": "constant"}
    return {
        name: [training(plan, name, 0, use_checkpoint=name == "transformer", **options)]
        for name in _MODELS
    }


def draw_figure7(plan: Plan, found: dict[str, list[Record]]) -> Section:
    """Returns accuracy and loss of training and validation by epoch."""
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
    head = ("model", "best validation %", "at epoch", "last validation %", "last loss", "test %")
    caption, count = "Accuracy and loss, training and validation, by epoch", plan.scale.long_epochs
    shorter = [] if count == 100 else [f"{count} epochs instead of 100, to save time."]
    return Section(
        "[WN] figure 7: accuracy and loss over epochs",
        f"{count} epochs at a constant learning rate of 1e-3, seed 0. Training figures are means "
        "over the last 50 batches, with dropout.",
        [Table("Where the curves end", head, table)],
        [Picture("wn-figure7", caption, figure)],
        (*without_checkpoint(plan), "One seed.", *shorter),
    )


def figure2_jobs(plan: Plan) -> dict[str, list[Job]]:
    """Returns the short runs."""
    options: dict[str, Any] = {"steps": plan.scale.quick_steps, "schedule": "constant"}
    options["callbacks"] = {"test": _EVERY}
    return {
        name: [
            training(plan, name, seed, use_checkpoint=name == "transformer", **options)
            for seed in range(min(plan.seeds, _QUICK_SEEDS))
        ]
        for name in _MODELS
    }


def draw_figure2(plan: Plan, found: dict[str, list[Record]]) -> Section:
    """Returns test accuracy over the first batches, and the batches to reach each accuracy."""
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
    head = ("model", *(f"batches to {100 * goal:.0f} %" for goal in _GOALS), "at the end %")
    return Section(
        "[BP] figure 2: quick convergence",
        f"Test accuracy after every {_EVERY} batches of 64 texts, constant learning rate 1e-3 "
        f"after a warm-up of 50 batches, mean over {min(plan.seeds, _QUICK_SEEDS)} seeds, shaded "
        "from the lowest to the highest.",
        [Table("Batches to reach an accuracy", head, table)],
        [Picture("bp-figure2", "Test accuracy by number of batches", figure)],
        without_checkpoint(plan),
    )


def gradient_jobs(plan: Plan) -> dict[str, list[Job]]:
    """Returns the runs that gradients and embeddings are recorded of: one a model, with seed 0."""
    steps = plan.scale.gradient_steps
    options: dict[str, Any] = {"steps": steps, "batch_size": _BATCH, "schedule": "constant"}
    options["callbacks"] = {"gradients": _EVERY, "embeddings": steps}
    return {
        name: [training(plan, name, 0, use_checkpoint=name in ("transformer", "bert"), **options)]
        for name in (*_MODELS, "bert")
    }


def draw_gradients(item: str, plan: Plan, found: dict[str, list[Record]]) -> Section:
    """Returns the norms of one gradient over training; `item` is one of three."""
    key, title, what = _GRADIENTS[item]
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
    head = ("model", "first tenth", "median", "last tenth", "largest / smallest")
    return Section(
        f"[BP] {title}",
        f"L2 norm of the gradient of a batch's mean loss with respect to {what}, for the next "
        f"batch of {_BATCH} texts, after every {_EVERY} batches, without dropout; one run each, "
        "seed 0, constant learning rate. Gradients of models that normalise their embeddings "
        "(Transformer and BERT) grow as these get smaller, and BERT's are initialised at a quarter "
        "of the others' scale: compare the shapes of the curves, not their heights.",
        [Table("Norms over training", head, table)],
        [Picture(item, f"Gradient norm of {what} over training", figure)],
        gradient_deviations(plan),
    )


def gradient_deviations(plan: Plan) -> tuple[str, ...]:
    """Returns how `gradient_jobs` differ from the paper's runs."""
    layers, dim, steps = plan.scale.bert_layers, plan.scale.dim, plan.scale.gradient_steps
    return (
        "BERT is fine-tuned from the given checkpoint."
        if plan.pretrained
        else f"BERT ({layers} layers of {dim} dimensions) starts from random parameters at a "
        "learning rate of 3e-4, as no checkpoint was given.",
        *without_checkpoint(plan),
        "One seed. A norm over several embeddings is the root of the sum of their squares; the "
        "paper does not say which it takes.",
        f"{steps} batches; the paper does not say how many.",
    )


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
