"""[WN] tables 1 and 2: accuracy, memory and time; and ablations of what the papers leave open."""

from __future__ import annotations

import itertools
import math
import statistics
from collections.abc import Iterator
from typing import Any

from wave_jax.experiments import resources
from wave_jax.experiments.paper_report import CONTENT, Section, label, spread
from wave_jax.experiments.plan import Found, Jobs, Plan, Record
from wave_jax.experiments.training_runs import (
    BERT_RATE_FROM_SCRATCH,
    best_runs,
    rate_trials,
    runs,
    training,
)

_PAPERS = CONTENT["papers"]
_MODELS_1 = ("interference", "modulation", "transformer")
_MODELS_2 = ("interference", "modulation", "bert")


def table1_jobs(plan: Plan) -> Jobs:
    jobs: Jobs = {(name, "paper's rate"): runs(plan, name) for name in _MODELS_1}
    for name, what, settings in _tuned(plan):
        trials = rate_trials(plan, name, **settings)
        rate, best = best_runs(plan, name, **settings)
        made = [f"{tried:g}" for tried, job in trials.items() if plan.find(job)] or ["none yet"]
        edge = {made[0]: ", the smallest tried", made[-1]: ", the largest tried"}
        if len(made) == 1:
            edge = {made[0]: ", the only one tried"}
        jobs["trials", f"{name}{what} {', '.join(made)}"] = list(trials.values())
        jobs[name, f"rate {rate:g}{edge.get(f'{rate:g}', '')}, tuned{what}"] = best
    return jobs


def draw_table1(plan: Plan, found: Found) -> Section:
    data = plan.datasets[0]
    measured = {key: records for key, records in found.items() if key[0] != "trials"}
    rows = list(_rows(plan, measured, _PAPERS["table1"].get(data.name, {})))
    values = {
        "majority": 100 * data.majority,
        "error": 100 * math.sqrt(0.9 * 0.1 / data.test),
        "tried": "; ".join(tried for name, tried in table1_jobs(plan) if name == "trials"),
    }
    return Section([("accuracy: Accuracy, memory and time", rows)], values=values)


def table2_jobs(plan: Plan) -> Jobs:
    jobs: Jobs = {}
    for data, name in itertools.product(plan.datasets, _MODELS_2):
        seeds = 1 if name == "bert" and plan.scale.name == "small" else None
        jobs[data.name, name] = runs(plan, name, dataset=data)[:seeds]
    return jobs | resources.step_jobs(plan)


def draw_table2(plan: Plan, found: Found) -> Section:
    tables = []
    settings = dict.fromkeys(_MODELS_2, "paper's rate")
    settings["bert"] = "paper's rate" if plan.pretrained else f"rate {BERT_RATE_FROM_SCRATCH:g}"
    for data in plan.datasets:
        of_data = {(n, setting): found.get((data.name, n), []) for n, setting in settings.items()}
        measured = {key: records for key, records in of_data.items() if records}
        sizes = f"{data.train:,} + {data.validation:,} + {data.test:,} texts"
        rows = list(_rows(plan, measured, _PAPERS["table2"].get(data.name, {})))
        tables += [(f"accuracy: {data.name} ({sizes})", rows)] if rows else []
    return Section([*tables, ("savings", resources.savings_rows(found))])


def ablation_jobs(plan: Plan) -> Jobs:
    jobs = {}
    for choice, (name, given) in CONTENT["ablations"].items():
        changes: dict[str, Any] = dict(given)
        if "scopes" in changes:
            if not plan.datasets[0].sentences:
                continue
            changes["scopes"] = tuple(changes["scopes"])
        if "ffn_dim" in changes:  # in multiples of dim
            changes["ffn_dim"] = int(changes["ffn_dim"] * plan.scale.dim)
        seeds = range(plan.scale.ablation_seeds)
        jobs[choice] = [training(plan, name, seed, changes=changes) for seed in seeds]
    return jobs


def draw_ablations(plan: Plan, found: Found) -> Section:
    rows = []
    for choice, records in found.items():
        accuracies = [spread(_percent(records, split)) for split in ("validation", "test")]
        rows.append([choice, *accuracies, str(len(records))])
    error = 100 * math.sqrt(0.9 * 0.1 / max(plan.datasets[0].validation, 1))
    return Section([("ablations", rows)], values={"error": error})


def _tuned(plan: Plan) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Yields what is tuned: a model, how it differs from its usual self, arguments of a run."""
    for name in (*_MODELS_1, "fnet", "mean"):
        yield name, "", {}
    yield "transformer", ", no word dropout", {"changes": {"word_dropout": 0.0}}
    if plan.pretrained is not None:
        yield "transformer", ", embeddings of BERT", {"use_checkpoint": True}


def _percent(records: list[Record], split: str) -> list[float]:
    return [100 * record["result"][f"{split}_accuracy"] for record in records]


def _rows(plan: Plan, found: Found, paper: dict[str, list[float]]) -> Iterator[list[str]]:
    for (name, setting), records in found.items():
        theirs = ["–"] * 3
        if name in paper:
            accuracy, memory, seconds = paper[name]
            theirs = [f"{accuracy:.2f}", f"{memory:.2f}", f"{seconds:,.0f}"]
        sizes = [record["result"]["step_bytes"] for record in records]
        epochs = [record["result"]["rows"][-1]["epoch"] for record in records]
        times = [r["time"]["seconds"] / max(n, 1e-9) for r, n in zip(records, epochs, strict=True)]
        yield [
            label(plan, name), setting, theirs[0], spread(_percent(records, "test")),
            spread(_percent(records, "validation")), str(len(records)), theirs[1],
            "–" if None in sizes else f"{max(sizes) / 2**20:,.0f}", theirs[2],
            f"{statistics.median(times):,.1f}",
        ]  # fmt: skip
