"""[WN] figure 7: accuracy and loss of training and validation over many epochs."""

from __future__ import annotations

from wave_jax.experiments.deviations import without_checkpoint
from wave_jax.experiments.figures import finish, line, new_figure
from wave_jax.experiments.jobs import Job, Plan, found_one
from wave_jax.experiments.scale import CONTESTANTS
from wave_jax.experiments.section import Picture, Section, Table
from wave_jax.experiments.training_job import Training, training

_NAMES = ("interference", "modulation", "transformer")


def jobs(plan: Plan) -> list[Job]:
    """Returns one long run for each model, with seed 0."""
    return [_run(plan, name) for name in _NAMES]


def draw(plan: Plan) -> Section:
    """Returns the four panels, and where each curve ends."""
    figure, axes = new_figure(2, 2)
    rows = []
    for name in _NAMES:
        record = found_one(plan, _run(plan, name))
        if record is None:
            continue
        history = record["result"]["rows"]
        for column, split in enumerate(("train", "validation")):
            chosen = [row for row in history if row["split"] == split]
            epochs = [row["epoch"] for row in chosen]
            for panel, key, factor in ((0, "accuracy", 100), (1, "loss", 1)):
                values = [factor * row[key] for row in chosen]
                line(axes[panel, column], name, epochs, values, CONTESTANTS[name])
        validation = [row for row in history if row["split"] == "validation"]
        best = max(validation, key=lambda row: row["accuracy"])
        rows.append(
            [CONTESTANTS[name], f"{100 * best['accuracy']:.2f}", f"{best['epoch']:g}",
             f"{100 * validation[-1]['accuracy']:.2f}", f"{validation[-1]['loss']:.3f}",
             f"{100 * record['result']['test_accuracy']:.2f}"]
        )  # fmt: skip
    for column, split in enumerate(("training", "validation")):
        finish(axes[0, column], "epoch", f"{split} accuracy (%)", legend=column == 0)
        finish(axes[1, column], "epoch", f"{split} loss (nats)", legend=False)
    head = ("model", "best validation %", "at epoch", "last validation %", "last loss", "test %")
    epochs_run = plan.scale.long_epochs
    return Section(
        title="[WN] figure 7: accuracy and loss over epochs",
        text=(
            f"{epochs_run} epochs at a constant learning rate of 1e-3, seed 0. Training figures "
            "are means over the last 50 batches, with dropout."
        ),
        tables=(Table("Where the curves end", head, rows),),
        pictures=(
            Picture("wn-figure7", "Accuracy and loss, training and validation, by epoch", figure),
        ),
        deviations=(
            *without_checkpoint(plan),
            "One seed.",
            *([] if epochs_run == 100 else [f"{epochs_run} epochs instead of 100, to save time."]),
        ),
    )


def _run(plan: Plan, name: str) -> Training:
    epochs, given = plan.scale.long_epochs, name == "transformer"
    return training(plan, name, 0, epochs=epochs, schedule="constant", given=given)
