"""One step of training and one of evaluation, as pure functions to be jitted."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import optax
from flax import linen as nn
from jax.sharding import Mesh

from wave_jax.training.gradients import Learning, dense_gradients, row_gradients
from wave_jax.training.metrics import Sums, add_step
from wave_jax.training.nonfinite import group_bit
from wave_jax.training.optimizer import Schedule, clip_factor
from wave_jax.training.rows import RowsOptimizer, RowsState, update_rows
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
    accumulate: int = 1,
    remat: bool = False,
    skip_nonfinite: bool = False,
) -> TrainStep:
    """Returns (state, sums, root key, batch) -> (state, sums), to be jitted with donated state.

    The loss is the weighted mean over the batch; the step's randomness is fold_in(root, step).
    Models with `logits_from_rows` get the table's gradient as one row per distinct id; others get
    ids and a dense gradient. Clipping acts on the norm over all parameters together.

    Args:
        optimizer: updates all parameters, or all but the table where `rows` is given.
        rows: the row-wise optimizer of the table, for models with `logits_from_rows`.
        clip_norm: largest norm of the gradient; 0 for no clipping.
        accumulate: parts that a batch's texts are worked off in, one after the other; each draws
            dropout of its own, apart from that the result is the whole batch's.
        remat: computes everything but products a second time in the backward pass, instead of
            keeping it.
        skip_nonfinite: a step whose loss or gradient is not finite changes nothing but the count.

    Raises:
        ValueError: `rows` is given for another model.
    """
    by_rows = has_rows(model)
    if rows is not None and not by_rows:
        raise ValueError("a row-wise table needs a model with the method logits_from_rows")

    gradients = row_gradients if by_rows else dense_gradients
    learn = Learning(model, mesh, label_smoothing, accumulate, remat)

    def step(state: State, sums: Sums, root: jax.Array, batch: Any) -> tuple[State, Sums]:
        found = gradients(learn, state, batch, jax.random.fold_in(root, state.step))
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
            bad_groups=_bad_groups(state.params, found.rest, found.rows),
            skip=skip_nonfinite,
        )
        take = jnp.isfinite(loss) & jnp.isfinite(norm) if skip_nonfinite else None
        if rows is None:
            if by_rows:
                rest = join_table(rest, _scatter(state.params, found.distinct, row_grads))
            updated = _update(optimizer, rest, state.opt_state, state.params)
            params, opt_state = _chosen(take, updated, (state.params, state.opt_state))
            return State(state.step + 1, params, opt_state, None), sums
        others, table = split_table(state.params)
        assert state.table is not None
        table, table_state = update_rows(
            table,
            state.table,
            found.distinct if take is None else _nowhere_unless(take, found.distinct, table),
            found.read,
            row_grads,
            optimizer=rows,
            learning_rate=rate,
            step=state.step,
        )
        table_state = _same_decay_unless(take, table_state, state.table)
        updated = _update(optimizer, rest, state.opt_state, others)
        others, opt_state = _chosen(take, updated, (others, state.opt_state))
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


def _bad_groups(params: Params, rest: Params, rows: jax.Array | None) -> jax.Array:
    """Returns the bits of the groups whose gradient is not finite; the norms are there already."""
    groups = {name: rest.get(name, {}) for name in params}
    if rows is not None:
        groups["embed"] = (groups["embed"], rows)
    bits = jnp.zeros((), jnp.int32)
    for name, grads in groups.items():
        bad = ~jnp.isfinite(optax.tree.norm(grads))
        bits |= jnp.where(bad, group_bit(params, name), 0)
    return bits


def _chosen(take: jax.Array | None, new: Any, old: Any) -> Any:
    return new if take is None else jax.tree.map(lambda a, b: jnp.where(take, a, b), new, old)


def _nowhere_unless(take: jax.Array, distinct: jax.Array, table: jax.Array) -> jax.Array:
    """Returns ids beyond the table, which are never written, where the step is not taken."""
    return jnp.where(take, distinct, table.shape[0] + jnp.arange(len(distinct), dtype=jnp.int32))


def _same_decay_unless(take: jax.Array | None, new: RowsState, old: RowsState) -> RowsState:
    if take is None:
        return new
    decay, carry = _chosen(take, (new.decay, new.carry), (old.decay, old.carry))
    return dataclasses.replace(new, decay=decay, carry=carry)


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
