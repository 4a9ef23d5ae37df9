"""One step of training and one of evaluation, as pure functions to be jitted."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from flax import linen as nn
from jax.sharding import Mesh, NamedSharding
from jax.sharding import PartitionSpec as P

from wave_jax.training.metrics import Sums, add_step, classification
from wave_jax.training.optimizer import Schedule, clip_factor
from wave_jax.training.rows import RowsOptimizer, read_rows, update_rows
from wave_jax.training.state import Params, State, join_table, split_table

TrainStep = Callable[[State, Sums, jax.Array, Any], tuple[State, Sums]]
EvalStep = Callable[[Params, Any], jax.Array]


def make_train_step(
    model: nn.Module,
    optimizer: optax.GradientTransformation,
    schedule: Schedule,
    mesh: Mesh,
    *,
    rows: RowsOptimizer | None,
    clip_norm: float = 1.0,
    label_smoothing: float = 0.0,
) -> TrainStep:
    """Returns (state, sums, root key, batch) -> (state, sums), to be jitted with donated state.

    The loss is the weighted mean over the batch; the step's randomness is fold_in(root, step).
    Models with `logits_from_rows` get the table's gradient as one row per distinct id; others get
    ids and a dense gradient. Clipping acts on the norm over all parameters together.

    Args:
        optimizer: updates all parameters, or all but the table where `rows` is given.
        rows: the row-wise optimizer of the table, for models with `logits_from_rows`.
        clip_norm: largest norm of the gradient; 0 for no clipping.

    Raises:
        ValueError: `rows` is given for another model.
    """
    by_rows = has_rows(model)
    if rows is not None and not by_rows:
        raise ValueError("a row-wise table needs a model with the method logits_from_rows")

    def step(state: State, sums: Sums, root: jax.Array, batch: Any) -> tuple[State, Sums]:
        rngs = _streams(root, state.step)
        found = (_row_gradients if by_rows else _dense_gradients)(
            model, mesh, label_smoothing, state, batch, rngs
        )
        loss, correct, examples = found.sums
        with jax.named_scope("clip"):
            norm = optax.tree.norm((found.rest, found.rows))
            factor, rate = clip_factor(norm, clip_norm), schedule(state.step)
            rest, row_grads = jax.tree.map(lambda grad: grad * factor, (found.rest, found.rows))
        sums = add_step(
            sums,
            step=state.step,
            loss=loss,
            correct=correct,
            examples=examples,
            grad_norm=norm,
            learning_rate=rate,
        )
        if rows is None:
            if by_rows:
                rest = join_table(rest, _scatter(state.params, found.distinct, row_grads))
            params, opt_state = _update(optimizer, rest, state.opt_state, state.params)
            return State(state.step + 1, params, opt_state, None), sums
        others, table = split_table(state.params)
        assert state.table is not None
        table, table_state = update_rows(
            table,
            state.table,
            found.distinct,
            found.read,
            row_grads,
            optimizer=rows,
            learning_rate=rate,
            step=state.step,
        )
        others, opt_state = _update(optimizer, rest, state.opt_state, others)
        return State(state.step + 1, join_table(others, table), opt_state, table_state), sums

    return step


def make_eval_step(model: nn.Module) -> EvalStep:
    """Returns (params, batch) -> logits float32 [B, C], without dropout; params are settled."""

    def step(params: Params, batch: Any) -> jax.Array:
        if hasattr(model, "logits_from_distinct"):
            inputs = (batch.distinct, batch.inverse, batch.mask)
            logits = model.apply({"params": params}, *inputs, method="logits_from_distinct")
        else:
            logits = model.apply({"params": params}, _ids(batch), batch.mask)
        return jnp.asarray(logits, jnp.float32)

    return step


def has_rows(model: nn.Module) -> bool:
    """Returns whether the table's gradient can be had as rows."""
    return hasattr(model, "logits_from_rows")


class _Gradients(NamedTuple):
    """Sums (loss, correct, examples), gradients, and where the table's rows are concerned: the
    distinct ids [U], their rows as read [U, d] and the rows' gradients [U, d]."""

    sums: tuple[jax.Array, jax.Array, jax.Array]
    rest: Params
    distinct: jax.Array
    read: jax.Array
    rows: jax.Array | None


def _row_gradients(
    model: nn.Module,
    mesh: Mesh,
    label_smoothing: float,
    state: State,
    batch: Any,
    rngs: dict[str, jax.Array],
) -> _Gradients:
    """Gradients of all parameters but the table, and of the batch's rows of the table."""

    def loss(rest: Params, rows: jax.Array) -> tuple[jax.Array, Any]:
        logits = model.apply(
            {"params": rest},
            rows,
            batch.distinct,
            batch.inverse,
            batch.mask,
            deterministic=False,
            rngs=rngs,
            method="logits_from_rows",
        )
        return _mean_loss(logits, batch, label_smoothing)

    # The rows are read whole on every device (a copy) and multiplied shared out; their gradients
    # are gathered, so what crosses devices does not grow with the vocabulary.
    whole = NamedSharding(mesh, P())
    rest, table = split_table(state.params)
    distinct = jax.lax.with_sharding_constraint(batch.distinct, whole)
    if state.table is None:
        read = table.at[distinct].get(mode="clip", indices_are_sorted=True)
    else:
        read = read_rows(table, state.table, distinct)
    read = jax.lax.with_sharding_constraint(read, whole)
    divides = read.shape[0] % mesh.shape["data"] == 0
    shared = NamedSharding(mesh, P("data") if divides else P())
    given = jax.lax.with_sharding_constraint(read, shared)
    differentiate = jax.value_and_grad(loss, argnums=(0, 1), has_aux=True)
    (_, sums), (grads, row_grads) = differentiate(rest, given)
    row_grads = jax.lax.with_sharding_constraint(row_grads, whole)
    return _Gradients(sums, grads, distinct, read, row_grads)


def _dense_gradients(
    model: nn.Module,
    mesh: Mesh,
    label_smoothing: float,
    state: State,
    batch: Any,
    rngs: dict[str, jax.Array],
) -> _Gradients:
    """Gradients of all parameters, from ids."""
    del mesh

    def loss(params: Params) -> tuple[jax.Array, Any]:
        ids = _ids(batch)
        logits = model.apply({"params": params}, ids, batch.mask, deterministic=False, rngs=rngs)
        return _mean_loss(logits, batch, label_smoothing)

    (_, sums), grads = jax.value_and_grad(loss, has_aux=True)(state.params)
    return _Gradients(sums, grads, batch.distinct, batch.distinct, None)


def _mean_loss(logits: Any, batch: Any, label_smoothing: float) -> tuple[jax.Array, Any]:
    sums = classification(logits, batch.labels, batch.weights, label_smoothing)
    return sums[0] / jnp.maximum(sums[2], 1.0), sums


def _streams(root: jax.Array, step: jax.Array) -> dict[str, jax.Array]:
    key = jax.random.fold_in(root, step)
    return {"dropout": jax.random.fold_in(key, 0), "word_dropout": jax.random.fold_in(key, 1)}


def _update(
    optimizer: optax.GradientTransformation, grads: Params, opt_state: Any, params: Params
) -> tuple[Params, Any]:
    with jax.named_scope("update_rest"):
        updates, opt_state = optimizer.update(grads, opt_state, params)
        new: Params = optax.apply_updates(params, updates)
    return new, opt_state


def _ids(batch: Any) -> jax.Array:
    return batch.distinct[batch.inverse]


def _scatter(params: Params, distinct: jax.Array, row_grads: jax.Array) -> jax.Array:
    table = params["embed"]["embedding"]
    return (
        jnp.zeros_like(table)
        .at[distinct]
        .set(row_grads, mode="drop", indices_are_sorted=True, unique_indices=True)
    )
