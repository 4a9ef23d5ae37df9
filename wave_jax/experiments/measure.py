"""Makes the records that are missing, one after the other, and says how long it will take."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

from wave_jax.errors import UserError
from wave_jax.experiments.jobs import Job, Plan
from wave_jax.experiments.registry import Item


def measure(plan: Plan, items: Sequence[Item], work: Path, console: Console) -> int:
    """Measures what the items still need; returns how many records were made.

    The list of jobs is asked for anew after each, as some follow from what others found.
    """
    made, pace = 0, _Pace()
    while True:
        pending = _pending(plan, items)
        if not pending:
            return made
        job = pending[0]
        left = sum(pace.seconds(other) for other in pending)
        console.print(
            f"{len(pending)} to measure, about {clock(left)} left: {job.key}",
            markup=False,
            highlight=False,
        )
        start = time.perf_counter()
        result, times = job.measure(work, console)
        took = time.perf_counter() - start
        plan.records.save(
            job.key,
            config=job.config(),
            seed=job.seed,
            result=result,
            time=times | {"total_seconds": took},
        )
        made += 1
        pace.add(job, took)


def clock(seconds: float) -> str:
    """Returns a time in the largest fitting units.

    >>> clock(59), clock(600), clock(9000)
    ('59 s', '10 min', '2.5 h')
    """
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


class _Pace:
    """How long jobs take on this machine, against what was estimated, for each name of a job."""

    def __init__(self) -> None:
        self._times: dict[str, tuple[float, float]] = {}  # took, estimated

    def add(self, job: Job, took: float) -> None:
        spent, guessed = self._times.get(job.name, (0.0, 0.0))
        self._times[job.name] = spent + took, guessed + job.seconds

    def seconds(self, job: Job) -> float:
        times = [self._times[job.name]] if job.name in self._times else self._times.values()
        spent, guessed = sum(t for t, _ in times), sum(g for _, g in times)
        return job.seconds * (spent / guessed if guessed else 1.0)


def _pending(plan: Plan, items: Sequence[Item]) -> list[Job]:
    pending: dict[str, Job] = {}
    for item in items:
        for job in item.jobs(plan):
            if job.key in pending:
                continue
            record = plan.records.find(job.key)
            if record is None:
                pending[job.key] = job
            else:
                _check_same(plan, job, record)
    return list(pending.values())


def _check_same(plan: Plan, job: Job, record: dict[str, Any]) -> None:
    """Refuses a record made when an option had another default: its name does not tell."""
    then, now = _flat(record["config"]), _flat(json.loads(json.dumps(job.config())))
    for name in then.keys() & now.keys():
        if then[name] != now[name]:
            raise UserError(
                f"{plan.records.folder}: the record {job.key} was made with {name} {then[name]!r}, "
                f"now it is {now[name]!r}: give another --out"
            )


def _flat(values: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in values.items():
        inner = isinstance(value, dict)
        found |= _flat(value, f"{prefix}{name}.") if inner else {prefix + name: value}
    return found
