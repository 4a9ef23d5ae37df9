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
import json, sys
import numpy as np
from tests.training.stubs import Texts, make_task, Bag
from wave_jax.training.metrics import empty_sums
from wave_jax.training.mesh import make_mesh, place
from wave_jax.training.state import settled_params
from wave_jax.training.evaluation import Evaluator

out = {}
for data, model in ((1, 1), (8, 1), (4, 2), (1, 8)):
    mesh = make_mesh(data, model)
    task = make_task(mesh=mesh, model=Bag(dropout=0.1), table_optimizer=sys.argv[1])
    state, step, losses = task.new_state(), task.jitted_step(task.new_state()), []
    table = state.params["embed"]["embedding"]
    inner = state.params["ffn_in"]["kernel"]
    shards = [list(leaf.sharding.shard_shape(leaf.shape)) for leaf in (table, inner)]
    for index in range(50):
        batch = place(task.batches.batch(index), mesh)
        rows = list(batch.labels.sharding.shard_shape(batch.labels.shape))
        state, sums = step(state, empty_sums(), task.root_key(), batch)
        losses.append(float(sums.loss) / float(sums.examples))
    result = Evaluator(task.model, mesh)(settled_params(state), task.validation)
    out[f"{data}x{model}"] = dict(
        losses=losses, shards=shards, rows=rows, evaluation=result.loss, accuracy=result.accuracy
    )
print(json.dumps(out))
"""


@pytest.mark.parametrize("table_optimizer", ["rows", "dense"])
def test_eight_devices_compute_what_one_does(table_optimizer, tmp_path):
    variables = os.environ | {
        "XLA_FLAGS": "--xla_force_host_platform_device_count=8",
        "JAX_PLATFORMS": "cpu",
        "JAX_DEFAULT_MATMUL_PRECISION": "float32",
    }
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", PROGRAM, table_optimizer],
        cwd=ROOT,
        env=variables,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    found = json.loads(done.stdout)
    one = found.pop("1x1")
    assert one["losses"][-1] < 0.5 * one["losses"][0]
    for name, many in found.items():
        # rounding of sums in another order, over 50 steps
        np.testing.assert_allclose(many["losses"], one["losses"], rtol=1e-5, err_msg=name)
        assert many["evaluation"] == pytest.approx(one["evaluation"], rel=1e-5)
        assert many["accuracy"] == one["accuracy"]
    # the embedding's rows and the feed-forward's columns lie split over 'model', rows over 'data'
    assert found["1x8"]["shards"] == [[16, 16], [16, 4]]
    assert found["4x2"]["shards"] == [[64, 16], [16, 16]]
    assert found["8x1"]["shards"] == [[128, 16], [16, 32]]
    assert (found["8x1"]["rows"], found["4x2"]["rows"]) == ([2], [4])


def test_a_mesh_that_does_not_fit_is_refused():
    with pytest.raises(UserError, match="a mesh of 64 x 2 devices"):
        make_mesh(64, 2)
    with pytest.raises(UserError, match="1 or more"):
        make_mesh(1, 0)
    assert dict(make_mesh().shape) == {"data": jax.device_count(), "model": 1}
