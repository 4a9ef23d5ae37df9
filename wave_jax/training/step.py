"""One step of training and one of evaluation, as pure functions to be jitted."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

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
    """
    by_rows = has_rows(model)
    if rows is not None and not by_rows:
        raise ValueError("a row-wise table needs a model with the method logits_from_rows")
    whole, shared = NamedSharding(mesh, P()), NamedSharding(mesh, P("data"))

    def gradients(state: State, root: jax.Array, batch: Any) -> tuple[Any, ...]:
        key = jax.random.fold_in(root, state.step)
        rngs = {"dropout": jax.random.fold_in(key, 0), "word_dropout": jax.random.fold_in(key, 1)}

        def loss(params: Params, table_rows: jax.Array | None) -> tuple[jax.Array, Any]:
            logits = _logits(model, params, table_rows, batch, rngs)
            sums = classification(logits, batch.labels, batch.weights, label_smoothing)
            return sums[0] / jnp.maximum(sums[2], 1.0), sums

        if not by_rows:
            (_, sums), grads = jax.value_and_grad(loss, has_aux=True)(state.params, None)
            return sums, grads, None, None
        rest, table = split_table(state.params)
        # Read whole on every device (a copy), multiplied shared out; the gradients of the rows are
        # gathered, so what crosses devices does not grow with the vocabulary.
        if state.table is None:
            read = table.at[batch.distinct].get(mode="clip", indices_are_sorted=True)
        else:
            distinct = jax.lax.with_sharding_constraint(batch.distinct, whole)
            read = read_rows(table, state.table, distinct)
        read = jax.lax.with_sharding_constraint(read, whole)
        divides = read.shape[0] % mesh.shape["data"] == 0
        given = jax.lax.with_sharding_constraint(read, shared) if divides else read
        differentiate = jax.value_and_grad(loss, argnums=(0, 1), has_aux=True)
        (_, sums), (grads, row_grads) = differentiate(rest, given)
        return sums, grads, read, jax.lax.with_sharding_constraint(row_grads, whole)

    def step(state: State, sums: Sums, root: jax.Array, batch: Any) -> tuple[State, Sums]:
        (loss, correct, examples), grads, read, row_grads = gradients(state, root, batch)
        norm = optax.tree.norm((grads, row_grads))
        factor = clip_factor(norm, clip_norm)
        rate = schedule(state.step)
        grads = jax.tree.map(lambda grad: grad * factor, grads)
        if row_grads is not None:
            row_grads = row_grads * factor
        distinct = jax.lax.with_sharding_constraint(batch.distinct, whole)
        if rows is None:
            params, table_state = state.params, None
            if row_grads is not None:
                grads = join_table(grads, _scatter(params, distinct, row_grads))
        else:
            params, table = split_table(state.params)
            assert state.table is not None
            table, table_state = update_rows(
                table,
                state.table,
                distinct,
                read,
                row_grads,
                optimizer=rows,
                learning_rate=rate,
                step=state.step,
            )
        updates, opt_state = optimizer.update(grads, state.opt_state, params)
        params = optax.apply_updates(params, updates)
        if rows is not None:
            params = join_table(params, table)
        sums = add_step(
            sums,
            step=state.step,
            loss=loss,
            correct=correct,
            examples=examples,
            grad_norm=norm,
            learning_rate=rate,
        )
        return State(state.step + 1, params, opt_state, table_state), sums

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


def _logits(
    model: nn.Module,
    params: Params,
    table_rows: jax.Array | None,
    batch: Any,
    rngs: dict[str, jax.Array],
) -> Any:
    variables = {"params": params}
    if table_rows is None:
        return model.apply(variables, _ids(batch), batch.mask, deterministic=False, rngs=rngs)
    return model.apply(
        variables,
        table_rows,
        batch.distinct,
        batch.inverse,
        batch.mask,
        deterministic=False,
        rngs=rngs,
        method="logits_from_rows",
    )


def _ids(batch: Any) -> jax.Array:
    return batch.distinct[batch.inverse]


def _scatter(params: Params, distinct: jax.Array, row_grads: jax.Array) -> jax.Array:
    table = params["embed"]["embedding"]
    return (
        jnp.zeros_like(table)
        .at[distinct]
        .set(row_grads, mode="drop", indices_are_sorted=True, unique_indices=True)
    )
