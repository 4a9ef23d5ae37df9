"""Checkpoints: read back exactly, checked by name, and never mistaken."""

from __future__ import annotations

import dataclasses

import jax
import numpy as np
import pytest

from tests.training.small import make_task, max_difference, small_model
from wave_jax.errors import UserError
from wave_jax.runs.checkpoint_files import finished_steps
from wave_jax.runs.checkpoints import Checkpoints, restore_params
from wave_jax.training.metrics import empty_metrics, sums_from_json, sums_to_json
from wave_jax.training.state import current_params


def save(checkpoints, state, step=1, best_step=0):
    checkpoints.save(state, {"position": {"step": step, "best_step": best_step}})


def flip(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def largest(folder):
    return max(folder.rglob("d/*"), key=lambda path: path.stat().st_size)


@pytest.mark.parametrize("table_optimizer", ["rows", "dense"])
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
        with pytest.raises(UserError, match="params/classifier/bias is not a part"):
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
    assert sums_from_json(sums_to_json(sums)) == sums
