"""Meshes: where arrays lie, and that eight devices compute what one does."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import jax
import numpy as np
import pytest

from wave_jax.errors import UserError
from wave_jax.training.mesh import make_mesh

ROOT = Path(__file__).parents[2]

PROGRAM = """
import dataclasses, json, sys
import jax
import numpy as np
from tests.runs.test_checkpoints import save
from tests.training.small import make_task, small_model
from wave_jax.runs.checkpoints import Checkpoints
from wave_jax.training.evaluation import Evaluator
from wave_jax.training.mesh import make_mesh, place
from wave_jax.training.metrics import empty_metrics
from wave_jax.training.state import current_params

def following(state):
    # the loss of the step after the last, from a state that it takes over
    _, sums = step(state, empty_metrics(), task.root_key(), place(task.batches.batch(50), mesh))
    return float(sums.loss) / float(sums.examples)

def assert_lying(one, two):
    assert one.sharding.is_equivalent_to(two.sharding, one.ndim), (one.sharding, two.sharding)

out, following_losses = {}, []
for table_optimizer, data, model in json.loads(sys.argv[1]):
    mesh = make_mesh(data, model)
    task = make_task(mesh=mesh, model=small_model(dropout=0.1), table_optimizer=table_optimizer)
    if table_optimizer == "dense":
        task = dataclasses.replace(task, class_weights=np.array([0.5, 1, 2], np.float32))
    for texts in (task.batches, task.validation):
        texts.lengths = np.minimum(texts.lengths, 8)  # of one shape, as compiling takes longest
    state, step, losses = task.new_state(), task.jitted_step(task.new_state()), []
    table = state.params["embed"]["embedding"]
    inner = state.params["layer_0"]["ffn_in"]["kernel"]
    shards = [list(leaf.sharding.shard_shape(leaf.shape)) for leaf in (table, inner)]
    for index in range(50):
        batch = place(task.batches.batch(index), mesh)
        rows = list(batch.labels.sharding.shard_shape(batch.labels.shape))
        state, sums = step(state, empty_metrics(), task.root_key(), batch)
        losses.append(float(sums.loss) / float(sums.examples))
    result = Evaluator(task.model, mesh)(current_params(state), task.validation)
    if table_optimizer == "rows" and (data, model) in ((8, 1), (4, 2)):
        with Checkpoints(sys.argv[2], 1) as checkpoints:
            if data == 8:
                save(checkpoints, state, 50, 50)
                checkpoints.wait()
            else:
                old, state = state, checkpoints.restore(50, state)[0]
                jax.tree.map(assert_lying, old, state)
        following_losses.append(following(state))
    out[f"{table_optimizer} {data}x{model}"] = dict(
        losses=losses, shards=shards, rows=rows, evaluation=result.loss, accuracy=result.accuracy
    )
out["resumed"] = following_losses
print(json.dumps(out))
"""


RUNS = [("rows", 1, 1), ("rows", 8, 1), ("rows", 4, 2), ("rows", 1, 8)]
RUNS += [("dense", 1, 1), ("dense", 4, 2)]


def test_eight_devices_compute_what_one_does(tmp_path):
    variables = os.environ | {
        "XLA_FLAGS": "--xla_force_host_platform_device_count=8"
        " --xla_backend_optimization_level=0",  # six programs are compiled, and run for moments
        "JAX_PLATFORMS": "cpu",
        "JAX_DEFAULT_MATMUL_PRECISION": "float32",
    }
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", PROGRAM, json.dumps(RUNS), str(tmp_path)],
        cwd=ROOT,
        env=variables,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    found = json.loads(done.stdout)
    # what 8x1 saved resumes at 4x2 as it would have at 8x1
    assert found["resumed"][1] == pytest.approx(found["resumed"][0], rel=1e-5)
    del found["resumed"]
    ones = {name: found.pop(f"{name} 1x1") for name in ("rows", "dense")}
    for name, many in found.items():
        one = ones[name.split()[0]]
        assert one["losses"][-1] < 0.5 * one["losses"][0]
        # rounding of sums in another order, over 50 steps; the dense ones have class weights
        rtol = 3e-5 if name.startswith("dense") else 1e-5
        np.testing.assert_allclose(many["losses"], one["losses"], rtol=rtol, err_msg=name)
        assert many["evaluation"] == pytest.approx(one["evaluation"], rel=rtol)
        assert many["accuracy"] == one["accuracy"]
    # the embedding's rows and the feed-forward's columns lie split over 'model', rows over 'data'
    lying = {
        "8x1": ([[128, 16], [16, 32]], [2]),
        "4x2": ([[64, 16], [16, 16]], [4]),
        "1x8": ([[16, 16], [16, 4]], [16]),
    }
    for name, many in found.items():
        assert (many["shards"], many["rows"]) == lying[name.split()[1]]


def test_a_mesh_that_does_not_fit_is_refused():
    with pytest.raises(UserError, match="a mesh of 64 x 2 devices"):
        make_mesh(64, 2)
    with pytest.raises(UserError, match="1 or more"):
        make_mesh(1, 0)
    assert dict(make_mesh().shape) == {"data": jax.device_count(), "model": 1}
