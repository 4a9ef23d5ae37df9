"""Training runs as jobs: at the papers' settings, and at learning rates chosen on validation."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from rich.console import Console

from wave_jax.experiments.monitors import make_callbacks
from wave_jax.experiments.plan import PAPER_RUN, Job, Measured, Plan, make_key, model_config
from wave_jax.experiments.sources import PreparedSource
from wave_jax.runs.job import train
from wave_jax.runs.metrics_log import read_rows
from wave_jax.training.config import Config

_BERT_RATE = 2e-5  # of the papers, for fine-tuning
_BERT_RATE_FROM_SCRATCH = 3e-4  # a random BERT learns next to nothing at 2e-5
_MEAN_FACTOR = 10  # a mean has no layer between table and classifier and takes larger steps
_RESULTS = (
    "steps", "best_step", "validation_accuracy", "test_accuracy", "test_loss", "test_examples",
    "majority_share", "parameters", "parameters_without_table", "step_bytes", "texts_cut",
)  # fmt: skip
_TIMES = ("seconds", "examples_per_s", "process_bytes", "device_bytes")


def training(
    plan: Plan,
    name: str,
    seed: int,
    *,
    dataset: PreparedSource | None = None,
    changes: Mapping[str, Any] | None = None,
    callbacks: Mapping[str, int] | None = None,
    use_checkpoint: bool | None = None,
    **options: Any,
) -> Job:
    """Returns the run of a model, one of `LABELS`, with the papers' settings.

    Args:
        dataset: instead of the plan's first one.
        changes: fields of `ModelConfig`.
        callbacks: see `make_callbacks`.
        use_checkpoint: start from the plan's, if it has one; by default only BERT does.
        options: fields of `TrainConfig`.
    """
    dataset, scale = dataset or plan.datasets[0], plan.scale
    wanted = name == "bert" if use_checkpoint is None else use_checkpoint
    folder, label = plan.pretrained if plan.pretrained and wanted else (None, None)
    usual: dict[str, Any] = {"epochs": scale.epochs}
    if name == "bert":
        rate = _BERT_RATE if label else _BERT_RATE_FROM_SCRATCH
        usual |= {"batch_size": 32, "learning_rate": rate}
    sizes: dict[str, Any] = {"max_length": scale.max_length, "vocab_size": scale.vocab_size}
    model = replace(model_config(name, scale), pretrained=folder, **changes or {})
    data = replace(PAPER_RUN.data, source=dataset.folder, **sizes)
    learning = replace(PAPER_RUN.train, **usual | options)
    config = replace(PAPER_RUN, data=data, model=model, train=learning, seed=seed)
    recorded = _as_json(config)
    del recorded["workdir"]
    recorded["model"]["pretrained"] = label
    recorded["data"]["source"] = f"{dataset.source} {dataset.fingerprint[:16]}"
    recorded["watches"] = dict(callbacks or {})
    key = make_key(f"{name}-{dataset.slug}-s{seed}", essentials(recorded))

    def measure(work: Path, console: Console) -> Measured:
        workdir = work / "runs" / key
        if (workdir / "summary.json").is_file():  # finished, yet without a record: start again
            shutil.rmtree(workdir)
        quiet = console if console.is_terminal else Console(quiet=True)
        made = make_callbacks(config, callbacks or {})
        summary = train(config, workdir=workdir, console=quiet, callbacks=made)
        unsteady = "examples_per_s"  # differs from run to run
        rows = [{k: v for k, v in row.items() if k != unsteady} for row in read_rows(workdir)]
        shutil.rmtree(workdir)
        result = {name: getattr(summary, name) for name in _RESULTS} | {"rows": rows}
        return result, {name: getattr(summary, name) for name in _TIMES}

    return Job(key, recorded, measure, seed)


def paper_runs(plan: Plan, name: str, dataset: PreparedSource | None = None) -> list[Job]:
    """Returns the runs of all seeds at the papers' learning rate."""
    return [training(plan, name, seed, dataset=dataset) for seed in range(plan.seeds)]


def rate_trials(plan: Plan, name: str, **settings: Any) -> dict[float, Job]:
    """Returns a run with seed 0 for each learning rate; `settings` as `training` takes them."""
    factor = _MEAN_FACTOR if name == "mean" else 1
    rates = [round(rate * factor, 10) for rate in plan.scale.learning_rates]
    return {rate: training(plan, name, 0, learning_rate=rate, **settings) for rate in rates}


def best_runs(plan: Plan, name: str, **settings: Any) -> tuple[float, list[Job]]:
    """Returns the rate with the best validation accuracy so far, and its runs for all seeds."""
    scores = {
        rate: record["result"]["validation_accuracy"]
        for rate, job in rate_trials(plan, name, **settings).items()
        if (record := plan.find(job)) is not None
    }
    rate = max(scores, key=lambda rate: scores[rate], default=PAPER_RUN.train.learning_rate)
    settings = {"learning_rate": rate, **settings}
    return rate, [training(plan, name, seed, **settings) for seed in range(plan.seeds)]


def essentials(config: Mapping[str, Any], default: Any = None) -> dict[str, Any]:
    """Returns the part of a nested configuration that differs from `PAPER_RUN`.

    Records are named by it, so an option added later, at its default, renames none.
    """
    default = _as_json(PAPER_RUN) if default is None else default
    found = {}
    for name, value in config.items():
        if isinstance(value, dict) and isinstance(default.get(name), dict):
            if inner := essentials(value, default[name]):
                found[name] = inner
        elif name not in default or value != default[name]:
            found[name] = value
    return found


def _as_json(config: Config) -> dict[str, Any]:
    return dict(json.loads(json.dumps(asdict(config))))
