"""The padded shapes of batches: a small set, known before training."""

from __future__ import annotations

from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh

from wave_jax.training.mesh import batch_shardings

Shape = tuple[int, ...]  # rows, tokens of a row, distinct ids; of a stack, its steps before these


def shape_of(batch: Any) -> Shape:
    """Returns (rows, tokens, distinct ids) of a batch on the devices: they name a program.

    Of a stack of batches, (steps, rows, tokens, distinct ids).
    """
    return (*batch.inverse.shape, batch.distinct.shape[-1])


def batch_templates(batches: Any) -> dict[Shape, Any]:
    """Returns, for every shape that `batches` can have on the devices, an empty host batch.

    Args:
        batches: TrainBatches or EvalBatches; `batches.shapes.chain` lists (tokens, distinct ids).
    """
    if not len(batches):
        return {}
    example = batches.batch(0)
    rows = example.inverse.shape[0]
    templates: dict[Shape, Any] = {}
    for tokens, distinct in batches.shapes.chain:
        batch = example._replace(
            distinct=np.zeros((distinct,), np.int32),
            inverse=np.zeros((rows, tokens), np.int32),
            mask=np.zeros((rows, tokens), bool),
        )
        templates[(rows * jax.process_count(), tokens, distinct)] = batch
    return templates


def abstract_batch(batch: Any, mesh: Mesh) -> Any:
    """Returns the global shapes, dtypes and shardings that `place(batch, mesh)` will have."""
    processes = jax.process_count()
    whole = {
        name: jax.ShapeDtypeStruct(
            leaf.shape if name == "distinct" else (leaf.shape[0] * processes, *leaf.shape[1:]),
            leaf.dtype,
        )
        for name, leaf in batch._asdict().items()
    }
    shapes = type(batch)(**whole)
    return jax.tree.map(
        lambda leaf, sharding: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=sharding),
        shapes,
        batch_shardings(mesh, shapes),
    )
