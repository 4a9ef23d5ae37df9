"""Trainings killed at random moments end with the parameters of one that nobody disturbed."""

from __future__ import annotations

import os
import random
import re
import signal
import time
from pathlib import Path

import numpy as np
import pytest

from tests.faults.forked import Training
from tests.faults.runs import Place, leaves, resumed_at, steps_logged, wait_for
from wave_jax.runs.checkpoints import damage, restore_params
from wave_jax.runs.metrics_log import read_rows

pytestmark = pytest.mark.faults

KILLS = int(os.environ.get("WAVE_JAX_KILLS", "60"))
OPTIONS = ["--train.steps", "160", "--train.checkpoint-every", "7", "--train.eval-every", "30"]
OPTIONS += [
    "--train.refit",
    "--model.dropout",
    "0.3",
    "--model.word-dropout",
    "0.2",
]  # randomness resumes too
TOTAL = 160


class Result:
    """What a finished training left: parameters, and rows without times."""

    def __init__(self, workdir: Path) -> None:
        folders = [folder for folder in (workdir, workdir / "refit") if folder.is_dir()]
        self.parameters = [
            leaf
            for folder in folders
            for which in ("best", "last")
            for leaf in leaves(restore_params(folder, which)[0])
        ]
        rows = [row for folder in folders for row in read_rows(folder)]
        self.rows = [{k: v for k, v in row.items() if k != "examples_per_s"} for row in rows]

    def same_as(self, other: Result) -> bool:
        pairs = zip(self.parameters, other.parameters, strict=True)
        return self.rows == other.rows and all(np.array_equal(a, b) for a, b in pairs)


@pytest.fixture(scope="module")
def undisturbed(place: Place) -> Result:
    status, shown = Training(place, place.folder / "undisturbed", *OPTIONS).finish()
    assert status == 0, shown
    return Result(place.folder / "undisturbed")


def whole(workdir: Path) -> list[int]:
    """The steps of the whole checkpoints."""
    folder = workdir / "checkpoints"
    found = folder.iterdir() if folder.is_dir() else ()
    return sorted(int(p.name) for p in found if p.name.isdecimal() and damage(p) is None)


def at_a_step(training: Training, workdir: Path, draw: random.Random) -> None:
    workdir = draw.choice([workdir, workdir / "refit"])
    before = max(steps_logged(workdir), default=0)
    target = draw.randint(min(before, TOTAL), TOTAL)
    wait_for(lambda: not training.running or max(steps_logged(workdir), default=0) >= target)
    time.sleep(draw.uniform(0, 0.02))


def inside_a_write(training: Training, workdir: Path, draw: random.Random) -> None:
    folder = draw.choice([workdir, workdir / "refit"]) / "checkpoints"
    skip = draw.randrange(4)
    for _ in range(skip + 1):
        wait_for(lambda: not training.running or list(folder.glob("*tmp*")))
        if skip:
            wait_for(lambda: not training.running or not list(folder.glob("*tmp*")))
    time.sleep(draw.uniform(0, 0.03))


def at_any_time(training: Training, workdir: Path, draw: random.Random) -> None:
    time.sleep(draw.uniform(0, 3))


MOMENTS = (at_a_step, inside_a_write, at_any_time)


def killed(place: Place, workdir: Path, kill: int) -> tuple[bool, bool]:
    """Starts or goes on with a training and kills it.

    Returns whether it came to that, and whether a checkpoint was cut off in the middle.
    """
    draw = random.Random(kill)
    number = signal.SIGKILL if draw.random() < 0.7 else draw.choice([signal.SIGTERM, signal.SIGINT])
    before = max(whole(workdir), default=0)
    training = Training(place, workdir, *OPTIONS)
    MOMENTS[kill % 3](training, workdir, draw)
    alive = training.running
    if alive:
        training.signal(number)
    sent = time.monotonic()
    status, shown = training.finish()
    cut = bool(list(workdir.rglob("checkpoints/*tmp*")))
    assert status in (0, -number, 128 + number), shown
    if number != signal.SIGKILL and status:
        assert time.monotonic() - sent < 10
    assert "Traceback" not in shown or number == signal.SIGINT, shown
    if "step " in shown and status == 0:
        assert resumed_at(shown) == before or before == TOTAL
    found = re.search(r"Resuming from the checkpoint of step (\d+)", shown)
    assert found is None or int(found[1]) == before
    return alive and status != 0, cut and status != 0


def test_kills_leave_no_trace(place, undisturbed, tmp_path):
    """Each training is killed again and again until it finishes by itself."""
    kills = runs = resumed = differing = cuts = 0
    while kills < KILLS:
        workdir = tmp_path / f"run-{runs}"
        for _ in range(8):
            done, cut = killed(place, workdir, kills + 1000 * runs)
            if not done:
                break
            kills, cuts = kills + 1, cuts + cut
        status, shown = Training(place, workdir, *OPTIONS).finish()
        assert status == 0, shown
        resumed += resumed_at(shown) > 0 or "is finished" in shown
        runs += 1
        differing += not Result(workdir).same_as(undisturbed)
    print(f"\n{kills} kills in {runs} trainings, {cuts} inside the write of a checkpoint:")
    print(f"{differing} differ, {resumed} seen to resume")
    assert differing == 0
    assert cuts or kills < 20, "no kill met a write"
    assert resumed >= 0.8 * runs  # the rest were killed before their first checkpoint


def test_a_signal_while_compiling_does_not_wait_for_it(place, tmp_path):
    """It leaves on the last checkpoint; programs are compiled in threads that cannot be stopped."""
    big = [*OPTIONS, "--model.layers", "24", "--model.dim", "64", "--train.steps", "8"]
    training = Training(place, tmp_path / "run", *big)
    wait_for(lambda: "compiling training" in training.shown.read_text())
    training.signal(signal.SIGTERM)
    sent = time.monotonic()
    status, shown = training.finish()
    assert time.monotonic() - sent < 5
    assert status == 143
    assert "compiling validation" not in shown, "it came too late to show anything"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_during_evaluation(place, undisturbed, tmp_path, number):
    """Sent as soon as a validation is written it meets the next one, as all steps are validated."""
    options = [*OPTIONS, "--train.eval-every", "1", "--train.eval-batch-size", "2"]
    training = Training(place, tmp_path / "run", *options)
    wait_for(lambda: any(row["split"] == "validation" for row in read_rows(tmp_path / "run")))
    training.signal(number)
    sent = time.monotonic()
    status, shown = training.finish()
    assert time.monotonic() - sent < 10
    assert status == 128 + number, shown
    step = max(whole(tmp_path / "run"))
    assert step >= 1
    training = Training(place, tmp_path / "run", *options)
    wait_for(lambda: not training.running or "Resuming" in training.shown.read_text())
    training.signal(signal.SIGKILL)
    assert resumed_at(training.finish()[1]) == step
