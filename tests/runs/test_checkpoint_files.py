"""A checkpoint that is not as it was written is noticed, named and not used."""

from __future__ import annotations

import shutil

import numpy as np
import pytest

from tests.runs.test_checkpoints import flip, largest, save
from tests.training.small import make_task, run, trainer_in
from tests.training.test_trainer import assert_same
from wave_jax.errors import UserError
from wave_jax.runs.checkpoint_files import CHECKSUMS, damage, write_checksums
from wave_jax.runs.checkpoints import Checkpoints, restore_params


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole")
    return run(folder, make_task()), folder


def truncate(path):
    path.write_bytes(path.read_bytes()[:-1])


def remove(path):
    path.unlink()


@pytest.mark.parametrize("harm", [flip, truncate, remove])
def test_every_file_is_guarded(tmp_path, harm):
    for name in ("a", "b/c"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"some bytes")
    write_checksums(tmp_path)
    assert damage(tmp_path) is None
    (tmp_path / "commit_success.txt").write_text("added later")
    assert damage(tmp_path) is None
    harm(tmp_path / "b/c")
    assert "b/c" in damage(tmp_path)
    (tmp_path / CHECKSUMS).write_text("{")
    assert "cannot be read" in damage(tmp_path)
    (tmp_path / CHECKSUMS).unlink()
    assert "not finished" in damage(tmp_path)


@pytest.mark.parametrize("harm", [flip, truncate, remove])
def test_training_resumes_from_the_newest_whole_one(tmp_path, whole, harm):
    shutil.copytree(whole[1], tmp_path, dirs_exist_ok=True)
    harm(largest(tmp_path / "checkpoints" / "18" / "params"))
    (tmp_path / "checkpoints" / "7").mkdir()  # a stray folder
    with trainer_in(tmp_path, make_task()) as trainer:
        assert trainer.progress.step == 12
        trainer.run()
    shown = " ".join((tmp_path / "shown.txt").read_text().split())
    assert "The checkpoint of step 18 is not whole (params/" in shown
    assert (tmp_path / "checkpoints" / "stray-7").is_dir()
    assert_same(whole[0], trainer, whole[1], tmp_path)


def test_training_starts_over_where_none_is_whole_and_deletes_none(tmp_path, whole):
    shutil.copytree(whole[1], tmp_path, dirs_exist_ok=True)
    steps = [path.name for path in (tmp_path / "checkpoints").iterdir()]
    for step in steps:
        flip(largest(tmp_path / "checkpoints" / step / "params"))
    with trainer_in(tmp_path, make_task()) as trainer:
        assert trainer.progress.step == 0
        trainer.run()
    assert "No checkpoint is whole" in " ".join((tmp_path / "shown.txt").read_text().split())
    assert all((tmp_path / "checkpoints" / f"broken-{step}").is_dir() for step in steps)
    assert_same(whole[0], trainer, whole[1], tmp_path)


def test_one_whose_best_is_broken_is_not_used(tmp_path):
    state, lines = make_task().new_state(), []
    with Checkpoints(tmp_path, 9) as checkpoints:
        for step, best in [(1, 0), (2, 2), (3, 2), (4, 4)]:
            save(checkpoints, state, step, best)
        checkpoints.wait()
        flip(largest(tmp_path / "checkpoints" / "2" / "params"))
        assert checkpoints.intact_steps(lines.append) == [4, 1]
    assert "step 3 is not whole (the best one of its time, of step 2, is not: params/" in lines[0]
    assert "step 2 is not whole (params/" in lines[1]


def test_parameters_are_not_read_from_a_broken_one(tmp_path, whole):
    shutil.copytree(whole[1], tmp_path, dirs_exist_ok=True)
    flip(largest(tmp_path / "checkpoints" / "18" / "params"))
    with pytest.raises(UserError, match="step 18 .* is not whole: params/.* checksum differs"):
        restore_params(tmp_path, "last")
    restored, _ = restore_params(whole[1], "last")
    assert np.isfinite(restored["classifier"]["bias"]).all()
