"""What to measure: models and sizes, jobs that make one record each, items, and the plan."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

from rich.console import Console

from wave_jax.data.config import DataConfig
from wave_jax.experiments.records import Records
from wave_jax.experiments.sources import PreparedSource
from wave_jax.models.config import ModelConfig
from wave_jax.training.config import Config, TrainConfig

# Runs start from this, and names of records are digests of what differs from it. So it states
# whatever the defaults of `train.py` may change; a change here would rename the records.
PAPER_RUN = Config(
    data=DataConfig(source="docstrings", max_length=128, vocab_size=30_522),
    model=ModelConfig(op="modulation", dim=768, dropout=None, word_dropout=None),
    train=TrainConfig(
        epochs=4,
        batch_size=64,
        learning_rate=1e-3,
        label_smoothing=0.0,
        log_every=50,
        baseline=False,
    ),
)


@dataclass(frozen=True)
class Scale:
    """Sizes of all experiments."""

    name: str
    dim: int
    bert_layers: int  # of the BERT that is trained; costs are those of BERT base
    texts: int | None  # at most, for training and validation
    test_texts: int | None
    max_length: int
    vocab_size: int
    epochs: int
    long_epochs: int  # of [WN] figure 7
    quick_steps: int  # of [BP] figure 2
    gradient_steps: int
    seeds: int
    ablation_seeds: int
    learning_rates: tuple[float, ...]  # to choose from by validation accuracy


SCALES = {
    "small": Scale(
        name="small", dim=128, bert_layers=2, texts=10_000, test_texts=2_000, max_length=64,
        vocab_size=8_000, epochs=4, long_epochs=8, quick_steps=500, gradient_steps=300, seeds=3,
        ablation_seeds=5, learning_rates=(3e-4, 1e-3, 3e-3, 1e-2),
    ),
    "paper": Scale(
        name="paper", dim=768, bert_layers=12, texts=None, test_texts=None, max_length=128,
        vocab_size=30_522, epochs=4, long_epochs=100, quick_steps=500, gradient_steps=2_000,
        seeds=5, ablation_seeds=5, learning_rates=(1e-4, 3e-4, 1e-3, 3e-3),
    ),
}  # fmt: skip


def model_config(name: str, scale: Scale) -> ModelConfig:
    """Returns a model, by its operation if it is a wave and else by its kind, at a scale's size."""
    field = "op" if name in ("interference", "modulation") else "kind"
    layers = scale.bert_layers if name == "bert" else None
    fields: dict[str, Any] = {field: name, "dim": scale.dim, "layers": layers}
    return replace(PAPER_RUN.model, **fields)


class Checkpoint(NamedTuple):
    """A BERT checkpoint: its folder ('' when only drawing), and its name and digest."""

    folder: str
    label: str


Record = dict[str, Any]
Measured = tuple[Record, Record]
"""A result, which is the same for the same seed, and times, which are not."""


class Job(NamedTuple):
    """A measurement that makes one record."""

    key: str  # name of the record; jobs with the same key measure the same thing
    config: dict[str, Any]  # everything that decides the result
    measure: Callable[[Path, Console], Measured]  # resumes in the folder, shows progress
    seed: int = 0  # where nothing is random


Jobs = dict[Any, list[Job]]
Found = dict[Any, list[Record]]
"""What an item measures, and what has been measured of it, under its own keys."""


def make_key(name: str, config: Mapping[str, Any]) -> str:
    """Returns `name` with a digest of the configuration.

    >>> make_key("wave", {"seed": 0})
    'wave-de7d7744'
    """
    text = json.dumps(config, sort_keys=True)
    return f"{name}-{hashlib.sha256(text.encode()).hexdigest()[:8]}"


@dataclass(frozen=True)
class Plan:
    """What `reproduce` was asked for; most items use the first data set alone."""

    scale: Scale
    datasets: tuple[PreparedSource, ...]
    seeds: int
    records: Records
    pretrained: Checkpoint | None = None

    def find(self, job: Job) -> Record | None:
        """Returns the job's record, or None if it has not been measured."""
        return self.records.find(job.key)

    def found(self, jobs: Iterable[Job]) -> list[Record]:
        """Returns the records that have been made."""
        return [record for record in map(self.find, jobs) if record is not None]


def measure(plan: Plan, list_jobs: Callable[[], list[Job]], work: Path, console: Console) -> None:
    """Measures the jobs without a record, listed anew after each, and shows how many remain."""
    durations: list[float] = []
    while jobs := [job for job in list_jobs() if plan.find(job) is None]:
        job, estimate = jobs[0], ""
        if durations:
            minutes = len(jobs) * sum(durations) / len(durations) / 60
            estimate = f", about {minutes:.0f} min left at the pace so far"
        console.out(f"{len(jobs)} to measure{estimate}: {job.key}", highlight=False)
        start = time.perf_counter()
        result, times = job.measure(work, console)
        durations.append(time.perf_counter() - start)
        times = times | {"total_seconds": durations[-1]}
        plan.records.save(job.key, config=job.config, seed=job.seed, result=result, time=times)
