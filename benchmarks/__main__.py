"""Time of a training step beside the machine's own matrix-product rate.

    python -m benchmarks                      # d = 768, batches of 64 texts of about 50 tokens
    python -m benchmarks --dim 256 --json

The contestants take turns, so that what else the machine does hits all of them; medians are given
with quartiles. They are the step with row-wise and with dense AdamW of the table, and the three
products of the projection alone (forward, and backward for rows and weights), which no step on the
same distinct rows can do without. Texts are made up: ids by Zipf's law over 30,522 pieces.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np
import tyro

from wave_jax.data.batches import EvalBatches, TrainBatches
from wave_jax.data.tokens import Tokens
from wave_jax.models import ModelConfig, build_model, table_rows
from wave_jax.training.compilation import matmul_precision
from wave_jax.training.config import TrainConfig
from wave_jax.training.mesh import make_mesh, place
from wave_jax.training.metrics import empty_sums
from wave_jax.training.task import Task

_VOCABULARY, _CLASSES, _BATCHES = 30_522, 4, 20


@dataclass(frozen=True)
class Options:
    """What is timed."""

    dim: int = 768
    """Dimensions of an embedding."""
    batch_size: int = 64
    """Texts a step."""
    length: int = 50
    """Mean tokens of a text."""
    repeats: int = 15
    """Turns of each contestant; the first is not counted."""
    json: bool = False
    """One line of JSON instead of a table."""


def main(options: Options) -> None:
    """Times the contestants and prints medians, quartiles and ratios."""
    tokens, labels = _texts(options.batch_size * _BATCHES, options.length)
    batches = TrainBatches(
        tokens,
        labels,
        batch_size=options.batch_size,
        seed=0,
        table_rows=table_rows(_VOCABULARY),
    )
    batch = batches.batch(0)
    contestants = {
        "step, row-wise AdamW": _step(options, batches, "rows"),
        "step, dense AdamW": _step(options, batches, "dense"),
        "products alone": _products(len(batch.distinct), options.dim),
    }
    times: dict[str, list[float]] = {name: [] for name in contestants}
    for _ in range(options.repeats + 1):
        for name, run in contestants.items():
            start = time.perf_counter()
            jax.block_until_ready(run())
            times[name].append(1e3 * (time.perf_counter() - start))
    quartiles = {name: np.percentile(ms[1:], [25, 50, 75]) for name, ms in times.items()}
    rows, dense, products = (quartiles[name][1] for name in contestants)
    ratios = {"dense / row-wise": dense / rows, "products / row-wise": products / rows}
    if options.json:
        table = {name: values.tolist() for name, values in quartiles.items()}
        print(json.dumps({"milliseconds": table, "ratios": ratios, "shape": batch.inverse.shape}))
        return
    print(
        f"{len(batch.distinct):,} distinct rows, {batch.inverse.shape} tokens, {jax.devices()[0]}"
    )
    for name, (low, middle, high) in quartiles.items():
        print(f"{name:<22} {middle:8.1f} ms   ({low:.1f} to {high:.1f})")
    for name, ratio in ratios.items():
        print(f"{name:<22} {ratio:8.2f}")


def _texts(count: int, length: int) -> tuple[Tokens, np.ndarray]:
    rng = np.random.default_rng(0)
    share = 1 / (np.arange(4, _VOCABULARY) + 2.7)
    sizes = rng.integers(length // 2, length * 3 // 2 + 1, count)
    offsets = np.concatenate([[0], np.cumsum(sizes)])
    ids = rng.choice(np.arange(4, _VOCABULARY), offsets[-1], p=share / share.sum())
    ids[offsets[:-1]] = 2  # [CLS]
    labels = rng.integers(0, _CLASSES, count).astype(np.int32)
    return Tokens(ids.astype(np.int32), offsets.astype(np.int64), 0), labels


def _step(options: Options, batches: TrainBatches, table_optimizer: Any) -> Callable[[], Any]:
    """Returns a function that makes one training step, always on the first batch."""
    config = ModelConfig(dim=options.dim, ffn_dim=options.dim)
    mesh = make_mesh(1, 1)
    task = Task(
        config=TrainConfig(table_optimizer=table_optimizer, epochs=100),
        seed=0,
        model=build_model(
            config, vocab_size=_VOCABULARY, num_classes=_CLASSES, max_length=4 * options.length
        ),
        mesh=mesh,
        batches=batches,
        validation=EvalBatches(
            *_texts(1, options.length), batch_size=1, table_rows=table_rows(_VOCABULARY)
        ),
    )
    state, root = task.new_state(), task.root_key()
    step, sums, batch = task.jitted_step(state), empty_sums(), place(batches.batch(0), mesh)

    def run() -> Any:
        nonlocal state
        with matmul_precision("float32"):
            state, last = step(state, sums, root, batch)
        return last

    return run


def _products(rows: int, dim: int) -> Callable[[], Any]:
    """Returns a function that multiplies as the projection and its backward do."""
    x = jax.random.normal(jax.random.key(0), (rows, dim))
    w = jax.random.normal(jax.random.key(1), (dim, 2 * dim))
    g = jax.random.normal(jax.random.key(2), (rows, 2 * dim))
    multiply = jax.jit(lambda x, w, g: (x @ w, g @ w.T, x.T @ g))

    def run() -> Any:
        with matmul_precision("float32"):
            return multiply(x, w, g)

    return run


if __name__ == "__main__":
    main(tyro.cli(Options, description=__doc__, prog="python -m benchmarks"))
