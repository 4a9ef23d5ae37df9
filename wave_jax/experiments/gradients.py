"""Gradient norms over training at batch 32: the runs that several of [BP]'s figures look at."""

from __future__ import annotations

from typing import Any, Literal

from wave_jax.experiments.deviations import without_checkpoint
from wave_jax.experiments.figures import finish, line, new_figure
from wave_jax.experiments.jobs import Plan, found_one
from wave_jax.experiments.scale import CONTESTANTS
from wave_jax.experiments.section import Picture, Section, Table
from wave_jax.experiments.training_job import Training, training

NAMES = ("interference", "modulation", "transformer", "bert")
BATCH, _EVERY = 32, 10


def gradient_runs(plan: Plan) -> list[Training]:
    """Returns one run for each model, with seed 0."""
    return [gradient_run(plan, name) for name in NAMES]


def gradient_run(plan: Plan, name: str) -> Training:
    """Returns the run that gradients, embeddings and a text's waves are recorded of."""
    steps = plan.scale.gradient_steps
    watches = (("gradients", _EVERY), ("embeddings", steps))
    return training(
        plan, name, 0, steps=steps, batch_size=BATCH, schedule="constant", watches=watches,
        given=name in ("transformer", "bert"),
    )  # fmt: skip


def embeddings_of(record: dict[str, Any]) -> dict[str, Any]:
    """Returns what a record holds on the embeddings at the end of its run."""
    row: dict[str, Any] = next(r for r in record["result"]["rows"] if r["split"] == "embeddings")
    return row


def draw_gradients(
    plan: Plan, name: str, title: str, place: Literal["cls", "input", "classifier"], what: str
) -> Section:
    """Returns the section of one place's norms."""
    figure, axes = new_figure(width=6.6)
    rows = []
    for contestant in NAMES:
        record = found_one(plan, gradient_run(plan, contestant))
        if record is None:
            continue
        points = [
            (row["step"], row[place])
            for row in record["result"]["rows"]
            if row["split"] == "gradients"
        ]
        steps, norms = [step for step, _ in points], [norm for _, norm in points]
        line(axes[0, 0], contestant, steps, norms, CONTESTANTS[contestant])
        tenth = max(1, len(norms) // 10)
        ordered = sorted(norms)
        rows.append(
            [CONTESTANTS[contestant], f"{sum(norms[:tenth]) / tenth:.2e}",
             f"{ordered[len(ordered) // 2]:.2e}", f"{sum(norms[-tenth:]) / tenth:.2e}",
             f"{ordered[-1] / max(ordered[0], 1e-30):,.0f}"]
        )  # fmt: skip
    axes[0, 0].set_yscale("log")
    ylabel = f"L2 norm of the gradient\n({what})"
    finish(axes[0, 0], f"batches of {BATCH} texts", ylabel, legend=False)
    figure.legend(loc="outside upper center", ncols=4, frameon=False, fontsize=8)
    head = ("model", "first tenth", "median", "last tenth", "largest / smallest")
    return Section(
        title=title,
        text=(
            f"L2 norm of the gradient of a batch's mean loss with respect to {what}, for the "
            f"coming batch of {BATCH} texts, after every {_EVERY} batches, without dropout; one "
            "run each, seed 0, constant learning rate. Norms of networks that normalise their "
            "embeddings (Transformer and BERT) grow as these get smaller: BERT's are drawn four "
            "times as small as the others', so compare the courses of the curves, not their "
            "heights."
        ),
        tables=(Table("Norms over training", head, rows),),
        pictures=(Picture(name, f"Gradient norm of {what} over training", figure),),
        deviations=gradient_deviations(plan),
    )


def gradient_deviations(plan: Plan) -> tuple[str, ...]:
    """Returns in what the runs differ from the paper's."""
    bert = (
        "BERT is fine-tuned from the given checkpoint."
        if plan.pretrained
        else f"BERT ({plan.scale.bert_layers} layers of {plan.scale.dim} dimensions) starts from "
        "random parameters at a learning rate of 3e-4, as no checkpoint was at hand."
    )
    return (
        bert,
        *without_checkpoint(plan),
        "One seed. A norm over several embeddings is the root of the sum of their squares; the "
        "paper does not say which it takes.",
        f"{plan.scale.gradient_steps} batches; the paper does not say how many.",
    )
