"""Checkpoints: read back exactly, checked by name; damage is noticed, and named."""

from __future__ import annotations

import dataclasses
import shutil

import jax
import numpy as np
import pytest

from tests.training.small import make_task, max_difference, run, small_model, trainer_in
from tests.training.test_trainer import assert_same
from wave_jax.errors import UserError
from wave_jax.runs.checkpoints import (
    CHECKSUMS,
    Checkpoints,
    damage,
    finished_steps,
    restore_params,
    write_checksums,
)
from wave_jax.training.metrics import MetricSums, empty_metrics
from wave_jax.training.state import current_params


def save(checkpoints, state, step=1, best_step=0):
    checkpoints.save(state, {"position": {"step": step, "best_step": best_step}})


def flip(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def largest(folder):
    return max(folder.rglob("d/*"), key=lambda path: path.stat().st_size)


@pytest.mark.parametrize("table_optimizer", ["rows", "dense", "frozen"])
def test_what_is_saved_comes_back(tmp_path, table_optimizer):
    task = make_task(table_optimizer=table_optimizer)
    state, sums = task.new_state(), empty_metrics()
    state, _ = task.jitted_step(state)(state, sums, task.root_key(), task.batches.batch(0))
    with Checkpoints(tmp_path, 1) as checkpoints:
        save(checkpoints, state, 7)
        checkpoints.wait()
        found, meta = checkpoints.restore(7, state)
    jax.tree.map(np.testing.assert_array_equal, found, state)
    assert meta == {"position": {"step": 7, "best_step": 0}}
    params, _ = restore_params(tmp_path, "last")
    assert max_difference(params, current_params(state)) == 0


def test_the_caller_may_donate_what_is_being_saved(tmp_path):
    task = make_task(model=small_model(vocab_size=4096, dim=64))
    state, step = task.new_state(), task.jitted_step(task.new_state())
    want = np.array(state.params["embed"]["embedding"])
    with Checkpoints(tmp_path, 1) as checkpoints:
        save(checkpoints, state)
        for _ in range(20):
            state, _ = step(state, empty_metrics(), task.root_key(), task.batches.batch(0))
        checkpoints.wait()
        found, _ = checkpoints.restore(1, state)
    np.testing.assert_array_equal(found.params["embed"]["embedding"], want)


def test_another_shape_or_dtype_names_the_parameter(tmp_path):
    state = make_task(model=small_model()).new_state()
    with Checkpoints(tmp_path, 1) as checkpoints:
        save(checkpoints, state)
        checkpoints.wait()
        wide = make_task(model=small_model(num_classes=4)).new_state()
        with pytest.raises(UserError, match=r"params/classifier/bias is float32\[3\], expected"):
            checkpoints.restore(1, wide)
        params = jax.tree.map(lambda leaf: leaf, state.params)
        bias = params["classifier"].pop("bias")
        with pytest.raises(UserError, match=r"bias is float32\[3\], expected no such array"):
            checkpoints.restore(1, dataclasses.replace(state, params=params))
        params["classifier"]["bias"] = bias.astype("float16")
        with pytest.raises(
            UserError, match=r"params/classifier/bias is float32\[3\], expected float1"
        ):
            checkpoints.restore(1, dataclasses.replace(state, params=params))


def test_newest_and_best_are_kept_and_strays_ignored(tmp_path):
    state, folder = make_task().new_state(), tmp_path / "checkpoints"
    with Checkpoints(tmp_path, 2) as checkpoints:
        for step, best in [(1, 0), (2, 2), (3, 2), (4, 2), (5, 2)]:
            save(checkpoints, state, step, best)
        checkpoints.wait()
        (folder / "99").mkdir()
        assert finished_steps(folder) == [2, 4, 5]
    assert restore_params(tmp_path, "best")[1]["position"]["step"] == 2
    assert restore_params(tmp_path, "last")[1]["position"]["step"] == 5
    flip(largest(folder / "5" / "params"))
    with Checkpoints(tmp_path, 2) as checkpoints:
        checkpoints.restore_newest(state, print)  # that of step 4, as 5 is damaged
        assert finished_steps(folder) == [2, 4]
        save(checkpoints, state, 5, 2)
        checkpoints.wait()
        assert finished_steps(folder) == [2, 4, 5]


def test_a_folder_without_checkpoints(tmp_path):
    with pytest.raises(UserError, match="no checkpoint"):
        restore_params(tmp_path)


def test_sums_survive_json():
    sums = dataclasses.replace(empty_metrics(), loss=np.float32(0.1), steps=np.int32(3))
    assert MetricSums.from_json(sums.to_json()) == sums


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
    assert damage(tmp_path) == f"{CHECKSUMS} cannot be read: No such file or directory"


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
        for step, best in [(1, 0), (2, 2), (3, 2)]:
            save(checkpoints, state, step, best)
        checkpoints.wait()
        flip(largest(tmp_path / "checkpoints" / "2" / "params"))
        _, meta = checkpoints.restore_newest(state, lines.append)
    assert meta["position"]["step"] == 1
    assert "step 3 is not whole (the best one of its time, of step 2, is not: params/" in lines[0]
    assert "step 2 is not whole (params/" in lines[1]


def test_parameters_are_not_read_from_a_broken_one(tmp_path, whole):
    shutil.copytree(whole[1], tmp_path, dirs_exist_ok=True)
    flip(largest(tmp_path / "checkpoints" / "18" / "params"))
    with pytest.raises(UserError, match="step 18 .* is not whole: params/.* checksum differs"):
        restore_params(tmp_path, "last")
    restored, _ = restore_params(whole[1], "last")
    assert np.isfinite(restored["classifier"]["bias"]).all()
