"""A disk that fills up stops training with a line; what was saved before is whole."""

from __future__ import annotations

import shutil
import signal
import subprocess
from pathlib import Path

import numpy as np
import pytest

from tests.faults.forked import Training
from tests.faults.runs import leaves, resumed_at, wait_for
from tests.faults.test_kills import OPTIONS, Result, undisturbed, whole  # noqa: F401
from wave_jax.runs.checkpoints import damage, restore_params

pytestmark = pytest.mark.faults


@pytest.fixture
def small_disk(tmp_path):
    """A file system of a few megabytes; skipped where nothing may be mounted."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=3m", "tmpfs", str(folder)]
    if shutil.which("mount") is None or subprocess.run(mount, check=False).returncode:
        pytest.skip("nothing may be mounted here")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def grow(folder: Path) -> None:
    subprocess.run(["mount", "-o", "remount,size=64m", str(folder)], check=True)


def test_a_full_disk(place, small_disk, undisturbed):  # noqa: F811
    workdir = small_disk / "run"
    training = Training(place, workdir, *OPTIONS, "--train.keep", "30", shown=place.folder / "full")
    status, shown = training.finish()
    assert status == 2, shown
    last = shown.splitlines()[-1]
    assert last.startswith("error: cannot write to ")
    assert "No space left on device" in last
    kept = whole(workdir)
    assert kept
    for step in kept:
        assert damage(workdir / "checkpoints" / str(step)) is None
        params, _ = restore_params(workdir, step)
        assert all(np.isfinite(leaf).all() for leaf in leaves(params))
    grow(small_disk)
    training = Training(place, workdir, *OPTIONS, "--train.keep", "30", shown=place.folder / "full")
    status, shown = training.finish()
    assert status == 0, shown
    assert resumed_at(shown) == max(kept)
    assert Result(workdir).same_as(undisturbed)


def test_two_trainings_in_one_folder(place, tmp_path):
    workdir = tmp_path / "run"
    first = Training(place, workdir, *OPTIONS, "--train.steps", "4000")
    wait_for(lambda: whole(workdir))
    second = Training(
        place, workdir, *OPTIONS, "--train.steps", "4000", shown=tmp_path / "second.shown"
    )
    status, shown = second.finish()
    assert status == 2
    assert "error: another training is running in" in shown.splitlines()[-1]
    assert first.running
    first.signal(signal.SIGKILL)
    first.finish()
    # the lock went with the process
    third = Training(place, workdir, *OPTIONS, "--train.steps", "4000")
    wait_for(lambda: "Resuming" in third.shown.read_text())
    third.signal(signal.SIGTERM)
    assert third.finish()[0] == 143


def test_two_trainings_share_one_cache(place, tmp_path):
    """Both start with no tokens kept; they give the same result as one alone."""
    own = type(place)(tmp_path)
    shutil.copy(place.folder / "texts.jsonl", tmp_path)
    both = [Training(own, tmp_path / name, "--train.steps", "12") for name in ("one", "two")]
    for training in both:
        status, shown = training.finish()
        assert status == 0, shown
        assert "broken" not in shown
    one, two = (Result(tmp_path / name) for name in ("one", "two"))
    assert one.same_as(two)
