"""What crosses devices in a step: data-parallel, nothing that grows with the vocabulary."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

PROGRAM = """
import json, sys
import jax
import numpy as np
from tests.training.small import Texts
from tests.training.traffic import collective_bytes
from wave_jax.data.batches import Batch
from wave_jax.models import ModelConfig, build_model
from wave_jax.training.compilation import abstract
from wave_jax.training.config import TrainConfig
from wave_jax.training.mesh import make_mesh, place
from wave_jax.training.metrics import empty_metrics
from wave_jax.training.task import Task

out = {}
for data, model, vocabulary, dim, rows, tokens, distinct in json.loads(sys.argv[1]):
    mesh = make_mesh(data, model)
    config = ModelConfig(dim=dim, ffn_dim=dim)
    net = build_model(config, vocab_size=vocabulary, num_classes=4, max_length=tokens)
    train = TrainConfig(batch_size=rows, steps=10)
    task = Task(config=train, seed=0, model=net, mesh=mesh, batches=Texts(90, 16), validation=None)
    state = task.new_state()
    batch = Batch(
        np.zeros(distinct, np.int32), np.zeros((rows, tokens), np.int32),
        np.zeros((rows, tokens), bool), np.zeros(rows, np.int32), np.zeros(rows, np.float32),
    )
    given = abstract(state), empty_metrics(), *abstract((task.root_key(), place(batch, mesh)))
    options = {"xla_backend_optimization_level": 0}
    text = task.jitted_step(state).lower(*given).compile(compiler_options=options).as_text()
    found = collective_bytes(text)
    out[f"{data}x{model} {vocabulary}"] = [sum(found.values()), found]
print(json.dumps(out))
"""


def count(*cases):
    """The bytes of a step for (data, model, vocabulary, dim, rows, tokens, distinct ids)."""
    variables = os.environ | {
        "XLA_FLAGS": "--xla_force_host_platform_device_count=8",
        "JAX_PLATFORMS": "cpu",
    }
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", PROGRAM, json.dumps(cases)],
        cwd=ROOT, env=variables, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout)


def test_on_a_data_parallel_mesh_the_vocabulary_costs_nothing():
    found = count((8, 1, 1024, 16, 16, 8, 128), (8, 1, 8192, 16, 16, 8, 128))
    small, large = found.values()
    assert small == large
    # at least the gradients: of the batch's rows, and of two square matrices
    assert small[0] >= 4 * (128 * 16 + 2 * 16 * 16)
    assert small[0] < 4 * 1024 * 16  # less than one small table


@pytest.mark.faults
def test_at_the_papers_size():
    """Prints the figures of docs/RELIABILITY.md."""
    sizes = (768, 64, 128, 2560)
    vocabularies = (15_261, 30_522)
    found = count(*[(d, m, v, *sizes) for d, m in ((8, 1), (4, 2), (1, 8)) for v in vocabularies])
    print()
    for name, (total, kinds) in found.items():
        print(f"{name:>12}: {total / 2**20:.1f} MiB", kinds)
    assert found["8x1 15261"] == found["8x1 30522"]
