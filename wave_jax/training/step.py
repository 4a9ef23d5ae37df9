"""One step of training and one of evaluation, as pure functions to be jitted."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import linen as nn
from jax.sharding import Mesh, NamedSharding
from jax.sharding import PartitionSpec as P

from wave_jax.training.config import TrainConfig
from wave_jax.training.metrics import MetricSums, add_step, classification_sums, group_bits
from wave_jax.training.sparse_adamw import put_rows, read_rows
from wave_jax.training.state import Params, State, freeze_table, join_table, split_table


class _Rows(NamedTuple):
    """The batch's distinct ids [U] and their rows of the table [U, d]."""

    distinct: jax.Array
    values: jax.Array


@dataclasses.dataclass(frozen=True, eq=False)
class TrainStep:
    """A training step, whose method `step` is to be jitted with donated state.

    The loss is the mean over the n texts of the batch, padding rows excluded. With `class_weights`
    w it is sum_i w[y_i] loss_i / n: divided by n, not by the weights of the batch, so that a text
    counts the same beside whichever others; balanced weights have mean 1 over an epoch. Reported
    losses are without them. The step's randomness is fold_in(root, step).
    Models with `logits_from_rows` get the table's gradient as one row per distinct id; others get
    ids and a dense gradient. Where `state.table` is given, `update_rows` updates the table, as in
    `sparse_adamw` with its constants bound, and `optimizer` all else. The norm over all
    parameters together (a frozen table has no gradient) is clipped to `config.clip_norm`; 0 for no
    clipping.
    """

    model: nn.Module
    optimizer: optax.GradientTransformation
    schedule: optax.Schedule
    update_rows: Callable[..., tuple[jax.Array, Any]]
    mesh: Mesh
    config: TrainConfig
    class_weights: np.ndarray | None = None  # float32 [C], constants of the program

    def step(
        self, state: State, sums: MetricSums, root: jax.Array, batch: Any
    ) -> tuple[State, MetricSums]:
        """Returns the state after one more step, and the sums with it; `root` is a key."""
        key, rest, rows = jax.random.fold_in(root, state.step), state.params, None
        if has_rows(self.model):
            rest, rows = self._read_table(state, batch)
        grads, seen = self._gradients(rest, rows, batch, key)
        with jax.named_scope("clip"):
            norm = optax.tree.norm(grads)
            factor, rate = clip_factor(norm, self.config.clip_norm), self.schedule(state.step)
            clipped = jax.tree.map(lambda grad: grad * factor, grads)
        bad = _bad_groups(state.params, *grads)
        sums = add_step(
            sums, **seen, step=state.step, grad_norm=norm, learning_rate=rate, bad_groups=bad
        )
        return self._update(state, rows, clipped, rate), sums

    def _read_table(self, state: State, batch: Any) -> tuple[Params, _Rows]:
        """Returns the parameters without the table, and the batch's rows of it.

        Every device reads all rows (a copy) and multiplies its share; the gradients are gathered,
        so what crosses devices does not grow with the vocabulary.
        """
        whole = NamedSharding(self.mesh, P())
        rest, table = split_table(state.params)
        distinct = jax.lax.with_sharding_constraint(batch.distinct, whole)
        if state.table is None:
            values = table.at[distinct].get(mode="clip", indices_are_sorted=True)
        else:
            values = read_rows(table, state.table, distinct)
        return rest, _Rows(distinct, jax.lax.with_sharding_constraint(values, whole))

    def _gradients(
        self, rest: Params, rows: _Rows | None, batch: Any, key: jax.Array
    ) -> tuple[tuple[Params, Any], dict[str, jax.Array]]:
        """Returns the gradients of (rest, rows.values), and `classification_sums`."""
        examples = jnp.maximum(jnp.sum(batch.weights), 1.0)
        rngs = {"dropout": jax.random.fold_in(key, 0), "word_dropout": jax.random.fold_in(key, 1)}

        def mean_loss(variables: tuple[Params, Any]) -> tuple[jax.Array, Any]:
            params, values = variables
            if self.config.table_optimizer == "frozen":
                params, values = freeze_table(params), jax.lax.stop_gradient(values)
            if rows is None:
                method, ids = "__call__", [batch.distinct[batch.inverse]]
            else:
                method, ids = "logits_from_rows", [values, rows.distinct, batch.inverse]
            logits: Any = self.model.apply(
                {"params": params}, *ids, batch.mask, deterministic=False, rngs=rngs, method=method
            )
            targets = batch.labels, batch.weights, self.config.label_smoothing
            sums = classification_sums(logits, *targets, self.class_weights)
            return sums.pop("objective", sums["loss"]) / examples, sums

        values = None
        if rows is not None:
            share = P("data") if rows.values.shape[0] % self.mesh.shape["data"] == 0 else P()
            values = jax.lax.with_sharding_constraint(rows.values, NamedSharding(self.mesh, share))
        (grads, row_grads), sums = jax.grad(mean_loss, has_aux=True)((rest, values))
        if rows is not None:
            row_grads = jax.lax.with_sharding_constraint(row_grads, NamedSharding(self.mesh, P()))
        return (grads, row_grads), sums

    def _update(
        self, state: State, rows: _Rows | None, grads: tuple[Params, Any], rate: jax.Array
    ) -> State:
        """Returns the state after the step."""
        (rest_grads, row_grads), rest, table_state = grads, state.params, None
        if rows is not None and state.table is not None:
            rest, table = split_table(state.params)
            table, table_state = self.update_rows(
                table, state.table, *rows, row_grads, learning_rate=rate, step=state.step
            )
        elif rows is not None:
            zeros = jnp.zeros_like(state.params["embed"]["embedding"])
            rest_grads = join_table(rest_grads, put_rows(zeros, rows.distinct, row_grads))
        with jax.named_scope("update_rest"):
            updates, opt_state = self.optimizer.update(rest_grads, state.opt_state, rest)
            new: Params = optax.apply_updates(rest, updates)
        params = new if table_state is None else join_table(new, table)
        return State(state.step + 1, params, opt_state, table_state)


def eval_step(model: nn.Module, params: Params, batch: Any) -> jax.Array:
    """Returns the logits float32 [B, C], without dropout; `params` have no decay pending."""
    if hasattr(model, "logits_from_distinct"):
        inputs = (batch.distinct, batch.inverse, batch.mask)
        logits = model.apply({"params": params}, *inputs, method="logits_from_distinct")
    else:
        logits = model.apply({"params": params}, batch.distinct[batch.inverse], batch.mask)
    return jnp.asarray(logits, jnp.float32)


def has_rows(model: nn.Module) -> bool:
    """Returns whether the model gives the table's gradient as rows."""
    return hasattr(model, "logits_from_rows")


def clip_factor(norm: jax.Array, clip_norm: float) -> jax.Array:
    """Returns the factor that limits a gradient's norm to `clip_norm` (0: no limit)."""
    if clip_norm <= 0:
        return jnp.ones_like(norm)
    return jnp.where(norm < clip_norm, 1.0, clip_norm / norm)


def _bad_groups(params: Params, rest: Params, rows: jax.Array | None) -> jax.Array:
    """Returns the bits of the groups whose gradient is not finite; XLA shares the norms."""
    bits = jnp.zeros((), jnp.int32)
    for name, bit in group_bits(params).items():
        norm = optax.tree.norm((rest.get(name, {}), rows if name == "embed" else None))
        bits |= jnp.where(jnp.isfinite(norm), 0, bit)
    return bits
