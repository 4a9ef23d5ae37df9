"""[WN] table 1: accuracy, memory and time on AG News, against one Transformer layer."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from wave_jax.experiments.accuracy import HEAD, MEMORY, Entry, accuracy_rows
from wave_jax.experiments.deviations import without_checkpoint
from wave_jax.experiments.jobs import Job, Plan, found
from wave_jax.experiments.paper import TABLE_1
from wave_jax.experiments.scale import CONTESTANTS
from wave_jax.experiments.section import Section, Table, results
from wave_jax.experiments.sources import PreparedSource
from wave_jax.experiments.tuning import at_papers_rate, best_rate, best_runs, rates, tuned


def jobs(plan: Plan) -> list[Job]:
    """Returns the runs at the papers' rate, and those at rates chosen on validation."""
    runs: list[Job] = []
    for name in ("interference", "modulation", "transformer"):
        runs += at_papers_rate(plan, name)
    for name, _, changes in _settings(plan):
        runs += tuned(plan, name, **changes)
    return runs


def draw(plan: Plan) -> Section:
    """Returns the table."""
    data = plan.datasets[0]
    paper = TABLE_1 if data.name == "AG News" else {}
    entries = [
        Entry(name, "paper's rate", paper.get(name), found(plan, at_papers_rate(plan, name)))
        for name in ("interference", "modulation", "transformer")
    ]
    for name, what, changes in _settings(plan):
        rate = best_rate(plan, name, **changes)
        edge = ", the largest tried" if rate == max(rates(plan, name)) else ""
        label = f"rate {rate:g}{edge}, tuned{what}"
        records = found(plan, best_runs(plan, name, **changes))
        entries.append(Entry(name, label, paper.get(name), records))
    return Section(
        title="[WN] table 1: against one Transformer layer",
        text=(
            f"{data.name}: {data.train:,} texts to train on, {data.validation:,} for validation, "
            f"{data.test:,} for the test; the most frequent class has {100 * data.majority:.2f} % "
            "of the latter. The test accuracy is that of the parameters which validated best. "
            f"{MEMORY} " + _verdict(entries, data)
        ),
        tables=(Table("Accuracy, memory and time", HEAD, accuracy_rows(entries)),),
        deviations=(
            *without_checkpoint(plan),
            "Learning rates were tried with seed 0, and chosen by validation accuracy: "
            + "; ".join(
                f"{name}{what} {', '.join(f'{rate:g}' for rate in rates(plan, name))}"
                for name, what, _ in _settings(plan)
            )
            + ". Nothing else was tuned for the Transformer, FNet and the mean, while dropout and "
            "the choices that the papers leave open were chosen for waves, on AG News.",
        ),
    )


def _settings(plan: Plan) -> list[tuple[str, str, dict[str, Any]]]:
    """Returns what is tuned: contestant, how it differs from its usual self, the changed fields."""
    settings: list[tuple[str, str, dict[str, Any]]] = [
        (name, "", {}) for name in ("interference", "modulation", "transformer", "fnet", "mean")
    ]
    settings.append(("transformer", ", no word dropout", {"word_dropout": 0.0}))
    if plan.pretrained is not None:
        settings.append(("transformer", ", embeddings of BERT", {"given": True}))
    return settings


def _verdict(entries: Sequence[Entry], data: PreparedSource) -> str:
    """Sums up; of several settings of a model the one that validated best is taken."""
    transformer, floor = _best(entries, "transformer"), _best(entries, "mean")
    wave = _best(entries, "interference", "modulation")
    if not transformer or not wave or not floor:
        return ""
    reached, waves, plain = (_mean(e, "test_accuracy") for e in (transformer, wave, floor))
    validated = [_mean(e, "validation_accuracy") for e in (transformer, wave, floor)]
    error = 100 * math.sqrt(waves / 100 * (1 - waves / 100) / data.test)
    text = (
        f"On the same batches the one-layer Transformer reaches {reached:.2f} % in the test "
        f"({transformer.setting}), the wave that validated best {waves:.2f} % "
        f"({CONTESTANTS[wave.name]}, {wave.setting}), and the mean of embeddings with a linear "
        f"classifier {plain:.2f} % ({floor.setting}); on validation {validated[0]:.2f}, "
        f"{validated[1]:.2f} and {validated[2]:.2f} %. The wave's margin over the Transformer is "
        f"{waves - reached:+.2f} points ({validated[1] - validated[0]:+.2f} on validation), over "
        f"the mean {waves - plain:+.2f} ({validated[1] - validated[2]:+.2f}). One standard error "
        f"of such an accuracy on {data.test:,} texts is {error:.2f} points."
    )
    if transformer.paper is None:
        return text
    margin = TABLE_1["modulation"][0] - TABLE_1["transformer"][0]
    return f"{text} In the paper the margin over the Transformer is {margin:+.2f} points."


def _best(entries: Sequence[Entry], *names: str) -> Entry | None:
    measured = [entry for entry in entries if entry.name in names and entry.records]
    return max(measured, key=lambda entry: _mean(entry, "validation_accuracy"), default=None)


def _mean(entry: Entry, name: str) -> float:
    values = [100 * value for value in results(entry.records, name)]
    return sum(values) / len(values)
