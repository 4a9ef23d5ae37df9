"""[WN] table 1: accuracy, memory and time on AG News, against one Transformer layer."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

from wave_jax.experiments.accuracy import HEAD, Entry, accuracy_rows
from wave_jax.experiments.jobs import Job, Plan, found
from wave_jax.experiments.scale import CONTESTANTS, contestant
from wave_jax.experiments.section import Section, Table
from wave_jax.experiments.training_job import Training, training
from wave_jax.experiments.tuning import at_papers_rate, best_rate, best_runs, rates, tuned

PAPER = {  # accuracy %, VRAM GB, seconds per epoch
    "interference": (90.36, 0.30, 146.90),
    "modulation": (91.29, 0.32, 147.02),
    "transformer": (71.68, 0.85, 173.25),
}
_TUNED = ("interference", "modulation", "transformer", "fnet", "mean")


def jobs(plan: Plan) -> list[Job]:
    """Returns the runs at the papers' rate, and those at rates chosen on validation."""
    runs: list[Job] = []
    for name in ("interference", "modulation", "transformer"):
        runs += at_papers_rate(plan, name)
    for name in _TUNED:
        runs += tuned(plan, name)
    return runs + _without_word_dropout(plan) + _with_pretrained_table(plan)


def draw(plan: Plan) -> Section:
    """Returns the table."""
    entries = [
        Entry(name, "paper's rate", PAPER[name], found(plan, at_papers_rate(plan, name)))
        for name in ("interference", "modulation", "transformer")
    ]
    entries += [
        Entry(name, _tuned_label(plan, name), PAPER.get(name), found(plan, best_runs(plan, name)))
        for name in _TUNED
    ]
    bare = _without_word_dropout(plan)
    label = f"rate {best_rate(plan, 'transformer'):g}, no word dropout"
    entries.append(Entry("transformer", label, PAPER["transformer"], found(plan, bare)))
    if plan.pretrained:
        given = found(plan, _with_pretrained_table(plan))
        entries.append(Entry("transformer", "embeddings of BERT", PAPER["transformer"], given))
    data = plan.datasets[0]
    return Section(
        title="[WN] table 1: against one Transformer layer",
        text=(
            f"{data.name}: {data.train:,} texts to train on, {data.validation:,} for validation, "
            f"{data.test:,} for the test; the most frequent class has {100 * data.majority:.2f} % "
            "of the latter. The test accuracy is that of the parameters which validated best. "
            + _verdict(entries)
        ),
        tables=(Table("Test accuracy, memory and time", HEAD, accuracy_rows(plan, entries)),),
        deviations=(
            "The paper's Transformer takes its token embeddings from pre-trained BERT; "
            + (
                "both ways are shown."
                if plan.pretrained
                else "no checkpoint was at hand, so it starts from random ones as the waves do."
            ),
            "Learning rates were tried with seed 0, and chosen by validation accuracy: "
            + "; ".join(f"{name} {_listed(rates(plan, name))}" for name in _TUNED)
            + ".",
            "All models use a warm-up of 100 steps (a tenth of the run at most), a cosine "
            "schedule, AdamW with weight decay 0.01 and clipping at 1; word dropout is 0.4 for "
            "all but the line that says otherwise; it was chosen for waves. The paper names a "
            "learning rate only.",
        ),
    )


def _without_word_dropout(plan: Plan) -> list[Training]:
    return _transformers(plan, word_dropout=0.0)


def _with_pretrained_table(plan: Plan) -> list[Training]:
    return _transformers(plan, pretrained=plan.pretrained) if plan.pretrained else []


def _transformers(plan: Plan, **changes: Any) -> list[Training]:
    """Returns a changed Transformer's runs of all seeds at its best rate."""
    model = dataclasses.replace(contestant("transformer", plan.scale), **changes)
    rate = best_rate(plan, "transformer")
    seeds = range(plan.seeds)
    return [training(plan, "transformer", seed, model=model, rate=rate) for seed in seeds]


def _tuned_label(plan: Plan, name: str) -> str:
    return f"rate {best_rate(plan, name):g}, tuned"


def _verdict(entries: Sequence[Entry]) -> str:
    """Sums up; of several settings of a model the one that validated best is taken."""
    transformer, floor = _best(entries, "transformer"), _best(entries, "mean")
    wave = _best(entries, "interference", "modulation")
    if not transformer or not wave or not floor:
        return ""
    reached, waves, plain = (_mean(e.records, "test_accuracy") for e in (transformer, wave, floor))
    margin = PAPER["modulation"][0] - PAPER["transformer"][0]
    return (
        f"Trained on the same batches, the one-layer Transformer reaches {reached:.2f} % "
        f"({transformer.setting}; the paper: {PAPER['transformer'][0]} %), the wave that validated "
        f"best {waves:.2f} % ({CONTESTANTS[wave.name]}, {wave.setting}), and the mean of "
        f"embeddings with a linear classifier {plain:.2f} %. The paper's margin of {margin:.2f} "
        f"points over the Transformer becomes {waves - reached:+.2f}; over the plain mean it is "
        f"{waves - plain:+.2f}."
    )


def _best(entries: Sequence[Entry], *names: str) -> Entry | None:
    measured = [entry for entry in entries if entry.name in names and entry.records]
    return max(
        measured, key=lambda entry: _mean(entry.records, "validation_accuracy"), default=None
    )


def _mean(records: Sequence[dict[str, Any]], name: str) -> float:
    values = [100 * record["result"][name] for record in records]
    return sum(values) / len(values)


def _listed(values: Sequence[float]) -> str:
    return ", ".join(f"{value:g}" for value in values)
