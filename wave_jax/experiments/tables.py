"""[WN] tables 1 and 2: accuracy, memory and time; and ablations of what the papers leave open."""

from __future__ import annotations

import math
import statistics
from typing import Any

from wave_jax.experiments import resources
from wave_jax.experiments.paper_report import Section, Table, spread
from wave_jax.experiments.plan import LABELS, Job, Plan, Record
from wave_jax.experiments.sources import PreparedSource
from wave_jax.experiments.training_runs import (
    best_runs,
    paper_runs,
    rate_trials,
    training,
    without_checkpoint,
)

_PAPER_TABLE_1 = {
    "interference": (90.36, 0.30, 146.90),
    "modulation": (91.29, 0.32, 147.02),
    "transformer": (71.68, 0.85, 173.25),
}  # AG News: accuracy in percent, video memory in GB, seconds per epoch
_MODELS_1 = tuple(_PAPER_TABLE_1)
_HEAD = (
    "model", "setting", "paper %", "ours: test %", "difference", "validation %", "seeds",
    "paper GB", "step MiB", "paper s/epoch", "s/epoch",
)  # fmt: skip
_COLUMNS = (
    "Memory is that of the largest compiled training step: arguments (parameters and AdamW's "
    "moments), results and temporaries; waves and the mean compute distinct tokens once and "
    "update only the batch's rows of the embedding table, which the others do not (bp-resources "
    "compares the same plain step of all). The paper's is what its GPU reported. Seconds are the "
    "median over seeds for the texts named; the paper's are of whole data sets."
)
_ABLATION_SEEDS = 2
_ABLATIONS: tuple[tuple[str, str, dict[str, Any]], ...] = (
    ("modulation, real part, [CLS], no positions (the default)", "modulation", {}),
    ("modulation read as magnitude", "modulation", {"readout": "magnitude"}),
    ("modulation read as imaginary part", "modulation", {"readout": "imag"}),
    ("modulation read as phase", "modulation", {"readout": "phase"}),
    ("interference read as magnitude (its default)", "interference", {}),
    ("interference read as imaginary part", "interference", {"readout": "imag"}),
    ("interference read as real part, mean pooling", "interference",
     {"readout": "real", "pooling": "mean"}),
    ("both operations mixed", "modulation", {"op": "both"}),
    ("mean pooling", "modulation", {"pooling": "mean"}),
    ("maximum pooling", "modulation", {"pooling": "max"}),
    ("sinusoidal positions", "modulation", {"position": "sinusoidal"}),
    ("learned positions", "modulation", {"position": "learned"}),
    ("sentence scope for one variant", "modulation", {"scopes": ("sentence", "input")}),
    ("feed-forward a quarter as wide", "modulation", {"ffn_dim": 0.25}),  # times dim
    ("feed-forward four times as wide", "modulation", {"ffn_dim": 4}),
    ("two layers", "modulation", {"layers": 2}),
    ("no word dropout", "modulation", {"word_dropout": 0.0}),
)  # fmt: skip


_Jobs = dict[tuple[str, str], list[Job]]
_Found = dict[tuple[str, str], list[Record]]
_Paper = dict[str, tuple[float, float, float]]


def table1_jobs(plan: Plan) -> _Jobs:
    """Returns runs by model and setting, and under 'trials' those that find the best rates."""
    jobs: _Jobs = {(name, "paper's rate"): paper_runs(plan, name) for name in _MODELS_1}
    for name, what, settings in _tuned(plan):
        trials = rate_trials(plan, name, **settings)
        rate, runs = best_runs(plan, name, **settings)
        edge = ", the largest tried" if rate == max(trials) else ""
        tried = ", ".join(f"{rate:g}" for rate in trials)
        jobs["trials", f"{name}{what} {tried}"] = list(trials.values())
        jobs[name, f"rate {rate:g}{edge}, tuned{what}"] = runs
    return jobs


def draw_table1(plan: Plan, found: _Found) -> Section:
    """Returns the table against one Transformer layer, and a comparison."""
    data = plan.datasets[0]
    paper = _PAPER_TABLE_1 if data.name == "AG News" else {}
    runs = {key: records for key, records in found.items() if key[0] != "trials"}
    return Section(
        "[WN] table 1: against one Transformer layer",
        f"{data.name}: {data.train:,} texts for training, {data.validation:,} for validation, "
        f"{data.test:,} for testing, of which the most frequent class has "
        f"{100 * data.majority:.2f} %. The test accuracy is that of the parameters with the best "
        f"validation accuracy. {_COLUMNS} {_comparison(runs, data)}",
        [Table("Accuracy, memory and time", _HEAD, _rows(runs, paper))],
        deviations=(
            *without_checkpoint(plan),
            "Learning rates were tried with seed 0, and chosen by validation accuracy: "
            f"{'; '.join(tried for name, tried in table1_jobs(plan) if name == 'trials')}. Nothing "
            "else was tuned for the Transformer, FNet and the mean, while dropout and the choices "
            "that the papers leave open were chosen for waves, on AG News.",
        ),
    )


def table2_jobs(plan: Plan) -> dict[Any, list[Job]]:
    """Returns runs by data set and model, and the measurements of training steps."""
    jobs = {
        (data.name, name): paper_runs(plan, name, data)
        for data in plan.datasets
        for name in ("interference", "modulation", "bert")
    }
    if plan.scale.name == "small":
        jobs |= {key: runs[:1] for key, runs in jobs.items() if key[1] == "bert"}
    return jobs | resources.step_jobs(plan)


def draw_table2(plan: Plan, found: dict[Any, list[Record]]) -> Section:
    """Returns a table against BERT for each data set, and what waves save."""
    tables = []
    for data in plan.datasets:
        runs: _Found = {}
        for name in ("interference", "modulation", "bert"):
            setting = "fine-tuned" if plan.pretrained else "from scratch"
            setting = setting if name == "bert" else "paper's rate"
            if (data.name, name) in found:
                runs[name, setting] = found[data.name, name]
        if runs:
            sizes = f"{data.train:,} + {data.validation:,} + {data.test:,} texts"
            rows = _rows(runs, resources.PAPER_TABLE_2.get(data.name, {}))
            tables.append(Table(f"{data.name} ({sizes})", _HEAD, rows))
    deviations = ["Only the data sets that were given with --data are shown."]
    if not plan.pretrained:
        deviations.append(
            "The paper fine-tunes pre-trained BERT base. No checkpoint was given (--pretrained), "
            "so BERT was trained from random parameters, which shows what its architecture alone "
            "does, not what BERT can do; its learning rate is 3e-4 instead of 2e-5, at which "
            "nothing would be learned."
        )
    if plan.scale.name == "small":
        deviations.append(
            f"At this scale the BERT that is trained has {plan.scale.bert_layers} layers of "
            f"{plan.scale.dim} dimensions, and one seed. Memory and arithmetic of BERT base are "
            "those of its compiled training step in full size, which need not run for that."
        )
    tables.append(resources.draw_savings(found))
    return Section("[WN] table 2: against BERT base", _COLUMNS, tables, deviations=deviations)


def ablation_jobs(plan: Plan) -> dict[str, list[Job]]:
    """Returns the runs of every choice."""
    jobs = {}
    for label, name, changes in _ABLATIONS:
        if "scopes" in changes and not plan.datasets[0].sentences:
            continue
        if "ffn_dim" in changes:
            changes = {"ffn_dim": int(changes["ffn_dim"] * plan.scale.dim)}
        seeds = range(min(plan.seeds, _ABLATION_SEEDS))
        jobs[label] = [training(plan, name, seed, changes=changes) for seed in seeds]
    return jobs


def draw_ablations(plan: Plan, found: dict[str, list[Record]]) -> Section:
    """Returns the table of choices."""
    rows = [
        [label, *(spread(_percent(records, split)) for split in ("validation", "test")),
         str(len(records))]
        for label, records in found.items()
    ]  # fmt: skip
    data = plan.datasets[0]
    error = 100 * math.sqrt(0.9 * 0.1 / max(data.validation, 1))
    return Section(
        "Ablations: what the papers leave open",
        f"{data.name}, the papers' learning rate and {plan.scale.epochs} epochs, one choice "
        "changed at a time; at another rate the order may differ. One standard error of an "
        f"accuracy near 90 % on {data.validation:,} validation texts is {error:.2f} points, so "
        "small differences say little.",
        [Table("Choices", ("choice", "validation %", "test %", "seeds"), rows)],
        deviations=() if data.sentences else ("No scopes: the texts have no ends of sentences.",),
    )


def _tuned(plan: Plan) -> list[tuple[str, str, dict[str, Any]]]:
    """Returns what is tuned: a model, how it differs from its usual self, arguments of a run."""
    settings: list[tuple[str, str, dict[str, Any]]] = [
        *((name, "", {}) for name in (*_MODELS_1, "fnet", "mean")),
        ("transformer", ", no word dropout", {"changes": {"word_dropout": 0.0}}),
    ]
    if plan.pretrained is not None:
        settings.append(("transformer", ", embeddings of BERT", {"use_checkpoint": True}))
    return settings


def _percent(records: list[Record], split: str) -> list[float]:
    return [100 * record["result"][f"{split}_accuracy"] for record in records]


def _rows(found: _Found, paper: _Paper) -> list[list[str]]:
    rows = []
    for (name, setting), records in found.items():
        ours, theirs, off = _percent(records, "test"), ["–"] * 3, "–"
        if name in paper:
            accuracy, memory, seconds = paper[name]
            theirs = [f"{accuracy:.2f}", f"{memory:.2f}", f"{seconds:,.0f}"]
            off = f"{sum(ours) / len(ours) - accuracy:+.2f}"
        sizes = [record["result"]["step_bytes"] for record in records]
        rows.append([
            LABELS[name], setting, theirs[0], spread(ours), off,
            spread(_percent(records, "validation")), str(len(ours)), theirs[1],
            "–" if None in sizes else f"{max(sizes) / 2**20:,.0f}", theirs[2],
            f"{statistics.median(map(_epoch_seconds, records)):,.1f}",
        ])  # fmt: skip
    return rows


def _epoch_seconds(record: Record) -> float:
    """Without compilation and evaluation."""
    last = record["result"]["rows"][-1]
    return float(record["time"]["seconds"] / max(last["epoch"], 1e-9))


def _comparison(found: _Found, data: PreparedSource) -> str:
    """Compares the settings with the best validation accuracy."""

    def mean(key: tuple[str, str], split: str) -> float:
        return statistics.fmean(_percent(found[key], split))

    best = []
    for names in (("transformer",), ("interference", "modulation"), ("mean",)):
        measured = [key for key in found if key[0] in names]
        if not measured:
            return ""
        best.append(max(measured, key=lambda key: mean(key, "validation")))
    test, valid = ([mean(key, split) for key in best] for split in ("test", "validation"))
    (_, transformer), (wave, setting), (_, floor) = best
    error = 100 * math.sqrt(test[1] / 100 * (1 - test[1] / 100) / data.test)
    text = (
        f"On the same batches the one-layer Transformer reaches a test accuracy of {test[0]:.2f} % "
        f"({transformer}), the wave with the best validation accuracy {test[1]:.2f} % "
        f"({LABELS[wave]}, {setting}), and the mean of embeddings with a linear classifier "
        f"{test[2]:.2f} % ({floor}); on validation {valid[0]:.2f}, {valid[1]:.2f} and "
        f"{valid[2]:.2f} %. The wave's margin over the Transformer is {test[1] - test[0]:+.2f} "
        f"points ({valid[1] - valid[0]:+.2f} on validation), over the mean "
        f"{test[1] - test[2]:+.2f} ({valid[1] - valid[2]:+.2f}). One standard error of such an "
        f"accuracy on {data.test:,} texts is {error:.2f} points."
    )
    if data.name != "AG News":
        return text
    margin = _PAPER_TABLE_1["modulation"][0] - _PAPER_TABLE_1["transformer"][0]
    return f"{text} In the paper the margin over the Transformer is {margin:+.2f} points."
