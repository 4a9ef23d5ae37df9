"""AdamW of an embedding table that touches only the rows of a batch.

A batch of 64 texts holds a few thousand of the 30,522 rows; dense AdamW reads and writes all of
them and their moments every step. Here a step reads and writes the batch's rows alone:

- weight decay of the steps that a row sat out is applied when it is next read, exactly: with
  S_t = sum_{s < t} log(1 - lr_s wd), a row settled at step a is worth row * exp(S_t - S_a) at t;
- the moments of a row that sat out stay as they are (dense AdamW would let them fade and let
  the fading momentum move the row), which is the one documented difference. For rows touched every
  step the arithmetic is that of `optax.adamw`.

`distinct` is sorted and unique; entries of `rows in the table` and more are padding, read as
something harmless and never written.
"""

from __future__ import annotations

import dataclasses
from functools import partial

import jax
import jax.numpy as jnp

from wave_jax.training.optimizer import EPSILON


@partial(jax.tree_util.register_dataclass)
@dataclasses.dataclass(frozen=True)
class SparseAdamWState:
    """What row-wise AdamW remembers of a table [V, d].

    Attributes:
        mu: float32 [V, d], first moments.
        nu: float32 [V, d], second moments.
        settled: float32 [V], the value of `decay` up to which a row's decay is in the row.
        decay: float32 scalar, S_t: the sum of log(1 - lr wd) over all steps.
        carry: float32 scalar, the rounding error of that sum (Kahan), so that it stays exact over
            millions of steps.
    """

    mu: jax.Array
    nu: jax.Array
    settled: jax.Array
    decay: jax.Array
    carry: jax.Array


@dataclasses.dataclass(frozen=True)
class SparseAdamW:
    """Constants of the update."""

    b1: float
    b2: float
    weight_decay: float


def init_rows(table: jax.Array) -> SparseAdamWState:
    """Returns the state before the first step of a table [V, d]."""
    rows = table.shape[0]
    zero = jnp.zeros((), jnp.float32)
    return SparseAdamWState(
        mu=jnp.zeros_like(table),
        nu=jnp.zeros_like(table),
        settled=jnp.zeros((rows,), jnp.float32),
        decay=zero,
        carry=zero,
    )


@jax.named_scope("read_rows")
def read_rows(table: jax.Array, state: SparseAdamWState, distinct: jax.Array) -> jax.Array:
    """Returns the rows [U, d] of `distinct` [U], their outstanding decay applied."""
    owed = state.decay - _take(state.settled, distinct)
    return _take(table, distinct) * jnp.exp(owed)[:, None]


@jax.named_scope("update_rows")
def update_rows(
    table: jax.Array,
    state: SparseAdamWState,
    distinct: jax.Array,
    rows: jax.Array,
    grads: jax.Array,
    *,
    optimizer: SparseAdamW,
    learning_rate: jax.Array,
    step: jax.Array,
) -> tuple[jax.Array, SparseAdamWState]:
    """Returns the table and its state after one step.

    Args:
        table: float32 [V, d].
        distinct: int32 [U], sorted, unique.
        rows: float32 [U, d], what `read_rows` gave.
        grads: float32 [U, d], their gradient (clipped).
        step: int32 scalar, steps made before this one.
    """
    b1, b2 = optimizer.b1, optimizer.b2
    mu = (1 - b1) * grads + b1 * _take(state.mu, distinct)
    nu = (1 - b2) * grads**2 + b2 * _take(state.nu, distinct)
    steps = step + 1
    direction = mu / (1 - b1**steps) / (jnp.sqrt(nu / (1 - b2**steps)) + EPSILON)
    new = rows - learning_rate * (direction + optimizer.weight_decay * rows)
    decay, carry = _add(state, jnp.log1p(-learning_rate * optimizer.weight_decay))
    return _put(table, distinct, new), SparseAdamWState(
        mu=_put(state.mu, distinct, mu),
        nu=_put(state.nu, distinct, nu),
        settled=_put(state.settled, distinct, jnp.broadcast_to(decay, distinct.shape)),
        decay=decay,
        carry=carry,
    )


@jax.jit
def apply_pending_decay(table: jax.Array, decay: jax.Array, settled: jax.Array) -> jax.Array:
    """Returns the table [V, d] with every row's outstanding decay applied.

    Training goes on with the table and state as they were: settling acts on a copy, so neither
    evaluation nor a checkpoint changes a run's numbers.

    Args:
        decay: `SparseAdamWState.decay`.
        settled: `SparseAdamWState.settled`.
    """
    return table * jnp.exp(decay - settled)[:, None]


def _take(array: jax.Array, distinct: jax.Array) -> jax.Array:
    # clipped here: a gather that has to look at every index is four times as slow on a CPU
    inside = jnp.minimum(distinct, array.shape[0] - 1)
    return array.at[inside].get(mode="promise_in_bounds", indices_are_sorted=True)


def _put(array: jax.Array, distinct: jax.Array, values: jax.Array) -> jax.Array:
    return array.at[distinct].set(values, mode="drop", indices_are_sorted=True, unique_indices=True)


def _add(state: SparseAdamWState, term: jax.Array) -> tuple[jax.Array, jax.Array]:
    term = term - state.carry
    total = state.decay + term
    return total, (total - state.decay) - term
