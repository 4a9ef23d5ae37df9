"""One step of training and one of evaluation, as pure functions to be jitted."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from flax import linen as nn
from jax.sharding import Mesh, NamedSharding
from jax.sharding import PartitionSpec as P

from wave_jax.training.metrics import MetricSums, add_step, classification_sums, group_bit
from wave_jax.training.optimizer import Schedule, clip_factor
from wave_jax.training.sparse_adamw import SparseAdamW, SparseAdamWState, read_rows, update_rows
from wave_jax.training.state import Params, State, join_table, split_table

TrainStep = Callable[[State, MetricSums, jax.Array, Any], tuple[State, MetricSums]]
EvalStep = Callable[[Params, Any], jax.Array]


def make_train_step(
    model: nn.Module,
    optimizer: optax.GradientTransformation,
    schedule: Schedule,
    mesh: Mesh,
    *,
    sparse: SparseAdamW | None,
    clip_norm: float = 1.0,
    label_smoothing: float = 0.0,
    skip_nonfinite: bool = False,
) -> TrainStep:
    """Returns (state, sums, root key, batch) -> (state, sums), to be jitted with donated state.

    The loss is the weighted mean over the batch; the step's randomness is fold_in(root, step).
    Models with `logits_from_rows` get the table's gradient as one row per distinct id; others get
    ids and a dense gradient. Clipping acts on the norm over all parameters together.

    Args:
        optimizer: updates all parameters, or all but the table where `sparse` is given.
        sparse: the optimizer of the table's rows, for models with `logits_from_rows`.
        clip_norm: largest norm of the gradient; 0 for no clipping.
        skip_nonfinite: a step whose loss or gradient is not finite changes nothing but the count.

    Raises:
        ValueError: `sparse` is given for another model.
    """
    by_rows = has_rows(model)
    if sparse is not None and not by_rows:
        raise ValueError("sparse AdamW needs a model with the method logits_from_rows")
    compute_gradients = _row_gradients if by_rows else _dense_gradients

    def step(
        state: State, sums: MetricSums, root: jax.Array, batch: Any
    ) -> tuple[State, MetricSums]:
        key = jax.random.fold_in(root, state.step)
        grads = compute_gradients(model, mesh, label_smoothing, state, batch, key)
        loss, correct, examples = grads.sums
        with jax.named_scope("clip"):
            norm = optax.tree.norm((grads.rest, grads.rows))
            factor, rate = clip_factor(norm, clip_norm), schedule(state.step)
            rest, row_grads = jax.tree.map(lambda grad: grad * factor, (grads.rest, grads.rows))
        sums = add_step(
            sums,
            step=state.step,
            loss=loss,
            correct=correct,
            examples=examples,
            grad_norm=norm,
            learning_rate=rate,
            bad_groups=_bad_groups(state.params, grads.rest, grads.rows),
            skip=skip_nonfinite,
        )
        keep = jnp.isfinite(loss) & jnp.isfinite(norm) if skip_nonfinite else None
        if sparse is None:
            if by_rows:
                rest = join_table(rest, _scatter(state.params, grads.distinct, row_grads))
            updated = _update(optimizer, rest, state.opt_state, state.params)
            params, opt_state = _select(keep, updated, (state.params, state.opt_state))
            return State(state.step + 1, params, opt_state, None), sums
        others, table = split_table(state.params)
        assert state.table is not None
        table, table_state = update_rows(
            table,
            state.table,
            grads.distinct if keep is None else _out_of_range_unless(keep, grads.distinct, table),
            grads.read,
            row_grads,
            optimizer=sparse,
            learning_rate=rate,
            step=state.step,
        )
        table_state = _select_decay(keep, table_state, state.table)
        updated = _update(optimizer, rest, state.opt_state, others)
        others, opt_state = _select(keep, updated, (others, state.opt_state))
        return State(state.step + 1, join_table(others, table), opt_state, table_state), sums

    return step


def make_eval_step(model: nn.Module) -> EvalStep:
    """Returns (params, batch) -> logits float32 [B, C], without dropout; no decay is pending."""

    def step(params: Params, batch: Any) -> jax.Array:
        if hasattr(model, "logits_from_distinct"):
            inputs = (batch.distinct, batch.inverse, batch.mask)
            logits = model.apply({"params": params}, *inputs, method="logits_from_distinct")
        else:
            logits = model.apply({"params": params}, batch.distinct[batch.inverse], batch.mask)
        return jnp.asarray(logits, jnp.float32)

    return step


def has_rows(model: nn.Module) -> bool:
    """Returns whether the model gives the table's gradient as rows."""
    return hasattr(model, "logits_from_rows")


class _Gradients(NamedTuple):
    """Sums (loss, correct, examples), gradients, and of the table's rows: the distinct ids [U],
    the rows as read [U, d] and their gradients [U, d]."""

    sums: tuple[jax.Array, jax.Array, jax.Array]
    rest: Params
    distinct: jax.Array
    read: jax.Array
    rows: jax.Array | None


def _row_gradients(
    model: nn.Module, mesh: Mesh, smoothing: float, state: State, batch: Any, key: jax.Array
) -> _Gradients:
    """Gradients of all parameters but the table, and of the batch's rows of the table."""

    def logits(variables: Any) -> Any:
        rest, rows = variables
        return model.apply(
            {"params": rest},
            rows,
            distinct,
            batch.inverse,
            batch.mask,
            deterministic=False,
            rngs=_streams(key),
            method="logits_from_rows",
        )

    # Every device reads all rows (a copy) and multiplies its share; the gradients are gathered, so
    # what crosses devices does not grow with the vocabulary.
    replicated = NamedSharding(mesh, P())
    rest, table = split_table(state.params)
    distinct = jax.lax.with_sharding_constraint(batch.distinct, replicated)
    if state.table is None:
        read = table.at[distinct].get(mode="clip", indices_are_sorted=True)
    else:
        read = read_rows(table, state.table, distinct)
    read = jax.lax.with_sharding_constraint(read, replicated)
    divides = read.shape[0] % mesh.shape["data"] == 0
    split = NamedSharding(mesh, P("data") if divides else P())
    given = jax.lax.with_sharding_constraint(read, split)
    (grads, row_grads), sums = _grad_of_mean_loss(logits, (rest, given), batch, smoothing)
    row_grads = jax.lax.with_sharding_constraint(row_grads, replicated)
    return _Gradients(sums, grads, distinct, read, row_grads)


def _dense_gradients(
    model: nn.Module, mesh: Mesh, smoothing: float, state: State, batch: Any, key: jax.Array
) -> _Gradients:
    """Gradients of all parameters, from ids."""
    del mesh

    def logits(params: Any) -> Any:
        ids = batch.distinct[batch.inverse]
        return model.apply(
            {"params": params}, ids, batch.mask, deterministic=False, rngs=_streams(key)
        )

    grads, sums = _grad_of_mean_loss(logits, state.params, batch, smoothing)
    return _Gradients(sums, grads, batch.distinct, batch.distinct, None)


def _grad_of_mean_loss(
    logits: Callable[[Any], Any], variables: Any, batch: Any, smoothing: float
) -> tuple[Any, Any]:
    """Returns the gradient of the batch's mean loss, and the sums (loss, correct, examples)."""
    texts = jnp.maximum(jnp.sum(batch.weights), 1.0)

    def loss(variables: Any) -> tuple[jax.Array, Any]:
        sums = classification_sums(logits(variables), batch.labels, batch.weights, smoothing)
        return sums[0] / texts, sums

    return jax.grad(loss, has_aux=True)(variables)


def _streams(key: jax.Array) -> dict[str, jax.Array]:
    return {"dropout": jax.random.fold_in(key, 0), "word_dropout": jax.random.fold_in(key, 1)}


def _bad_groups(params: Params, rest: Params, rows: jax.Array | None) -> jax.Array:
    """Returns the bits of the groups whose gradient is not finite; XLA shares the norms."""
    groups = {name: rest.get(name, {}) for name in params}
    if rows is not None:
        groups["embed"] = (groups["embed"], rows)
    bits = jnp.zeros((), jnp.int32)
    for name, grads in groups.items():
        bad = ~jnp.isfinite(optax.tree.norm(grads))
        bits |= jnp.where(bad, group_bit(params, name), 0)
    return bits


def _select(keep: jax.Array | None, new: Any, old: Any) -> Any:
    return new if keep is None else jax.tree.map(lambda a, b: jnp.where(keep, a, b), new, old)


def _out_of_range_unless(keep: jax.Array, distinct: jax.Array, table: jax.Array) -> jax.Array:
    """Returns ids beyond the table, which are never written, where the step is skipped."""
    return jnp.where(keep, distinct, table.shape[0] + jnp.arange(len(distinct), dtype=jnp.int32))


def _select_decay(
    keep: jax.Array | None, new: SparseAdamWState, old: SparseAdamWState
) -> SparseAdamWState:
    if keep is None:
        return new
    decay, carry = _select(keep, (new.decay, new.carry), (old.decay, old.carry))
    return dataclasses.replace(new, decay=decay, carry=carry)


def _update(
    optimizer: optax.GradientTransformation, grads: Params, opt_state: Any, params: Params
) -> tuple[Params, Any]:
    with jax.named_scope("update_rest"):
        updates, opt_state = optimizer.update(grads, opt_state, params)
        new: Params = optax.apply_updates(params, updates)
    return new, opt_state


def _scatter(params: Params, distinct: jax.Array, row_grads: jax.Array) -> jax.Array:
    table = params["embed"]["embedding"]
    return (
        jnp.zeros_like(table)
        .at[distinct]
        .set(row_grads, mode="drop", indices_are_sorted=True, unique_indices=True)
    )
