"""AdamW of an embedding table that reads and writes only the rows of a batch.

Of 30,522 rows a batch of 64 texts holds a few thousand. Unlike in dense AdamW

- a row's weight decay is applied lazily and exactly when the row is next read: with
  S_t = sum_{s < t} log(1 - lr_s wd), a row whose decay is applied up to step a is worth
  row * exp(S_t - S_a) at step t;
- the moments of absent rows stay as they are, which is the one difference in the result. For rows
  present at every step the arithmetic is that of `optax.adamw`.

`distinct` is sorted and unique; entries of V and more are padding, read as something harmless and
never written.
"""

from __future__ import annotations

import dataclasses
from functools import partial

import jax
import jax.numpy as jnp

EPSILON = 1e-8  # of AdamW, for the table and all other parameters


@partial(jax.tree_util.register_dataclass)
@dataclasses.dataclass(frozen=True)
class SparseAdamWState:
    """Optimizer state of a table [V, d], float32."""

    mu: jax.Array  # [V, d], first moments
    nu: jax.Array  # [V, d], second moments
    applied: jax.Array  # [V], the value of `decay` up to which each row's decay is applied
    decay: jax.Array  # scalar, S_t: the sum of log(1 - lr wd) over all steps
    carry: jax.Array  # scalar, the rounding error of that sum (Kahan), exact over millions of steps


def init_rows(table: jax.Array) -> SparseAdamWState:
    """Returns the state before the first step of a table [V, d]."""
    applied, zero = jnp.zeros(table.shape[:1], jnp.float32), jnp.zeros((), jnp.float32)
    mu, nu = jnp.zeros_like(table), jnp.zeros_like(table)
    return SparseAdamWState(mu, nu, applied, decay=zero, carry=zero)


@jax.named_scope("read_rows")
def read_rows(table: jax.Array, state: SparseAdamWState, distinct: jax.Array) -> jax.Array:
    """Returns the rows [U, d] of `distinct` [U] with their pending decay applied."""
    pending = state.decay - _take_rows(state.applied, distinct)
    return _take_rows(table, distinct) * jnp.exp(pending)[:, None]


@jax.named_scope("update_rows")
def update_rows(
    table: jax.Array,
    state: SparseAdamWState,
    distinct: jax.Array,
    rows: jax.Array,
    grads: jax.Array,
    *,
    b1: float,
    b2: float,
    weight_decay: float,
    learning_rate: jax.Array,
    step: jax.Array,
) -> tuple[jax.Array, SparseAdamWState]:
    """Returns the table [V, d] and its state after one step.

    `rows` [U, d] are as `read_rows` returned them for `distinct` [U], `grads` [U, d] their
    gradient (clipped); `step` counts the steps made before this one.
    """
    mu = (1 - b1) * grads + b1 * _take_rows(state.mu, distinct)
    nu = (1 - b2) * grads**2 + b2 * _take_rows(state.nu, distinct)
    steps = step + 1
    direction = mu / (1 - b1**steps) / (jnp.sqrt(nu / (1 - b2**steps)) + EPSILON)
    new = rows - learning_rate * (direction + weight_decay * rows)
    term = jnp.log1p(-learning_rate * weight_decay) - state.carry
    decay = state.decay + term
    return put_rows(table, distinct, new), SparseAdamWState(
        mu=put_rows(state.mu, distinct, mu),
        nu=put_rows(state.nu, distinct, nu),
        applied=put_rows(state.applied, distinct, jnp.broadcast_to(decay, distinct.shape)),
        decay=decay,
        carry=(decay - state.decay) - term,
    )


@jax.jit
def apply_pending_decay(table: jax.Array, decay: jax.Array, applied: jax.Array) -> jax.Array:
    """Returns a copy of the table [V, d] with every row's pending decay applied."""
    return table * jnp.exp(decay - applied)[:, None]


def put_rows(array: jax.Array, distinct: jax.Array, values: jax.Array) -> jax.Array:
    """Returns `array` [V, ...] with the rows of `distinct` replaced, padding entries dropped."""
    return array.at[distinct].set(values, mode="drop", indices_are_sorted=True, unique_indices=True)


def _take_rows(array: jax.Array, distinct: jax.Array) -> jax.Array:
    # clipped here: a gather that checks every index is four times as slow on a CPU
    inside = jnp.minimum(distinct, array.shape[0] - 1)
    return array.at[inside].get(mode="promise_in_bounds", indices_are_sorted=True)
