"""What can be measured: a job makes one record."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from rich.console import Console

from wave_jax.experiments.records import Records
from wave_jax.experiments.scale import Scale
from wave_jax.experiments.sources import PreparedSource
from wave_jax.models.bert import WEIGHTS


@dataclass(frozen=True)
class Checkpoint:
    """A BERT checkpoint.

    Attributes:
        folder: where it lies; '' where only drawing is asked for.
        label: its name and a digest of its weights, which go into the records.
    """

    folder: str
    label: str

    @classmethod
    def of(cls, folder: str) -> Checkpoint:
        """Returns that of a folder that `check_folder` has accepted."""
        with (Path(folder) / WEIGHTS).open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        return cls(folder, f"{Path(folder).resolve().name} {digest[:16]}")


@dataclass(frozen=True)
class Plan:
    """What `reproduce` was asked for.

    Attributes:
        scale: the sizes.
        datasets: the first is the one that most items use.
        seeds: how many.
        records: those made so far.
        pretrained: a BERT checkpoint, if one is at hand.
    """

    scale: Scale
    datasets: tuple[PreparedSource, ...]
    seeds: int
    records: Records
    pretrained: Checkpoint | None = None


class Measured(NamedTuple):
    """What a job found: `result` is the same for the same seed, `time` is not."""

    result: dict[str, Any]
    time: dict[str, Any]


class Job(Protocol):
    """One record to be made."""

    @property
    def name(self) -> str:
        """What kind of thing is measured; jobs of one name take times in proportion."""

    @property
    def key(self) -> str:
        """Name of the record; two jobs with one key measure the same."""

    @property
    def seed(self) -> int:
        """0 where nothing is drawn."""

    @property
    def seconds(self) -> float:
        """Estimated time on two cores."""

    def config(self) -> dict[str, Any]:
        """Returns all that decides the result."""

    def measure(self, work: Path, console: Console) -> Measured:
        """Makes the measurement; `work` is for what an interrupted one needs to go on."""


def make_key(name: str, config: Mapping[str, Any]) -> str:
    """Returns `name` with a digest of the configuration.

    >>> make_key("wave", {"seed": 0})
    'wave-de7d7744'
    """
    text = json.dumps(config, sort_keys=True)
    return f"{name}-{hashlib.sha256(text.encode()).hexdigest()[:8]}"


def found_one(plan: Plan, job: Any) -> dict[str, Any] | None:
    """Returns the job's record, or None if it is still to be made."""
    return plan.records.find(job.key)


def found(plan: Plan, jobs: list[Any]) -> list[dict[str, Any]]:
    """Returns the records of the jobs that are done."""
    records = [found_one(plan, job) for job in jobs]
    return [record for record in records if record is not None]
