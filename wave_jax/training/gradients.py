"""Gradients of the mean loss of a batch, at once or part by part, by rows of the table or dense."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from flax import linen as nn
from jax.sharding import Mesh, NamedSharding
from jax.sharding import PartitionSpec as P

from wave_jax.errors import UserError
from wave_jax.training.metrics import classification
from wave_jax.training.rows import read_rows
from wave_jax.training.state import Params, State, split_table

Logits = Callable[[Any, Any, dict[str, jax.Array]], Any]


class Gradients(NamedTuple):
    """Sums (loss, correct, examples), gradients, and where the table's rows are concerned: the
    distinct ids [U], their rows as read [U, d] and the rows' gradients [U, d]."""

    sums: tuple[jax.Array, jax.Array, jax.Array]
    rest: Params
    distinct: jax.Array
    read: jax.Array
    rows: jax.Array | None


class Learning(NamedTuple):
    """What the gradient is taken of, and how."""

    model: nn.Module
    mesh: Mesh
    label_smoothing: float
    accumulate: int
    remat: bool

    def gradients(
        self, logits: Logits, variables: Any, batch: Any, key: jax.Array
    ) -> tuple[Any, Any]:
        """Returns the sums (loss, correct, examples) and the gradient of the mean loss.

        Args:
            logits: (variables, batch, streams) -> [B, C].
        """
        texts = jnp.maximum(jnp.sum(batch.weights), 1.0)
        predict = logits
        if self.remat:
            saved = jax.checkpoint_policies.dots_saveable
            predict = jax.checkpoint(logits, policy=saved)  # type: ignore[attr-defined]

        def loss(variables: Any, batch: Any, key: jax.Array) -> tuple[jax.Array, Any]:
            found = predict(variables, batch, _streams(key))
            sums = classification(found, batch.labels, batch.weights, self.label_smoothing)
            return sums[0] / texts, sums

        differentiate = jax.grad(loss, has_aux=True)
        if self.accumulate == 1:
            grads, sums = differentiate(variables, batch, key)
            return sums, grads

        def add(total: Any, part: Any) -> tuple[Any, None]:
            number, texts_of_part = part
            grads, sums = differentiate(
                variables, texts_of_part, jax.random.fold_in(key, 2 + number)
            )
            return jax.tree.map(jnp.add, total, (sums, grads)), None

        parts = _parts(batch, self.accumulate)
        shapes = jax.eval_shape(differentiate, variables, jax.tree.map(lambda x: x[0], parts), key)
        nothing = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), shapes[::-1])
        total, _ = jax.lax.scan(add, nothing, (jnp.arange(self.accumulate), parts))
        return total


def row_gradients(learn: Learning, state: State, batch: Any, key: jax.Array) -> Gradients:
    """Gradients of all parameters but the table, and of the batch's rows of the table."""

    def logits(variables: Any, batch: Any, rngs: Any) -> Any:
        rest, rows = variables
        return learn.model.apply(
            {"params": rest},
            rows,
            distinct,
            batch.inverse,
            batch.mask,
            deterministic=False,
            rngs=rngs,
            method="logits_from_rows",
        )

    # The rows are read whole on every device (a copy) and multiplied shared out; their gradients
    # are gathered, so what crosses devices does not grow with the vocabulary.
    whole = NamedSharding(learn.mesh, P())
    rest, table = split_table(state.params)
    distinct = jax.lax.with_sharding_constraint(batch.distinct, whole)
    if state.table is None:
        read = table.at[distinct].get(mode="clip", indices_are_sorted=True)
    else:
        read = read_rows(table, state.table, distinct)
    read = jax.lax.with_sharding_constraint(read, whole)
    divides = read.shape[0] % learn.mesh.shape["data"] == 0
    shared = NamedSharding(learn.mesh, P("data") if divides else P())
    given = jax.lax.with_sharding_constraint(read, shared)
    sums, (grads, row_grads) = learn.gradients(logits, (rest, given), batch, key)
    row_grads = jax.lax.with_sharding_constraint(row_grads, whole)
    return Gradients(sums, grads, distinct, read, row_grads)


def dense_gradients(learn: Learning, state: State, batch: Any, key: jax.Array) -> Gradients:
    """Gradients of all parameters, from ids."""

    def logits(params: Any, part: Any, rngs: Any) -> Any:
        ids = batch.distinct[part.inverse]
        return learn.model.apply({"params": params}, ids, part.mask, deterministic=False, rngs=rngs)

    sums, grads = learn.gradients(logits, state.params, batch, key)
    return Gradients(sums, grads, batch.distinct, batch.distinct, None)


def _parts(batch: Any, count: int) -> Any:
    """Returns the batch's texts in `count` parts, stacked; every device has its share of each.

    Raises:
        UserError: the rows cannot be shared out.
    """
    rows = batch.labels.shape[0]
    if rows % count:
        raise UserError(
            f"--train.accumulate {count} does not divide the {rows} rows of a batch: choose a "
            "divisor"
        )

    def split(leaf: jax.Array) -> jax.Array:
        return jnp.moveaxis(leaf.reshape(rows // count, count, *leaf.shape[1:]), 1, 0)

    return batch._replace(
        distinct=jnp.broadcast_to(batch.distinct, (count, *batch.distinct.shape)),
        **{name: split(getattr(batch, name)) for name in batch._fields if name != "distinct"},
    )


def _streams(key: jax.Array) -> dict[str, jax.Array]:
    return {"dropout": jax.random.fold_in(key, 0), "word_dropout": jax.random.fold_in(key, 1)}
