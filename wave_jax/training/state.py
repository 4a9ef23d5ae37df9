"""The state of training: everything that a step changes."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax.traverse_util import flatten_dict, unflatten_dict

from wave_jax.training.mesh import put
from wave_jax.training.sparse_adamw import SparseAdamWState, apply_pending_decay

Params = dict[str, Any]


@partial(jax.tree_util.register_dataclass)
@dataclasses.dataclass(frozen=True)
class State:
    """Parameters and optimizer state; sparse AdamW's decay is pending: see `current_params`."""

    step: jax.Array  # int32 scalar, steps made
    params: Params  # nested dict of float32
    opt_state: optax.OptState  # over all parameters, or all but the table
    table: SparseAdamWState | None  # None where optax updates the table too


def with_params(state: State, given: Mapping[str, Any]) -> State:
    """Returns a state with parameters replaced by `given`, nested alike; NaN replaces nothing."""
    params = flatten_dict(state.params)
    for path, value in flatten_dict(given).items():
        new = put(np.asarray(value, params[path].dtype), params[path].sharding)
        gaps = np.isnan(value).any()
        params[path] = jnp.where(jnp.isnan(new), params[path], new) if gaps else new
    return dataclasses.replace(state, params=unflatten_dict(params))


def current_params(state: State) -> Params:
    """Returns the parameters with no decay pending, for evaluation; `state` stays valid."""
    if state.table is None:
        return state.params
    rest, table = split_table(state.params)
    return join_table(rest, apply_pending_decay(table, state.table.decay, state.table.applied))


def split_table(params: Params) -> tuple[Params, jax.Array]:
    """Returns the parameters without the embedding table, and the table [V, d]."""
    embed = {name: leaf for name, leaf in params["embed"].items() if name != "embedding"}
    rest = {name: leaf for name, leaf in params.items() if name != "embed"}
    return (rest | {"embed": embed} if embed else rest), params["embed"]["embedding"]


def join_table(rest: Params, table: jax.Array) -> Params:
    """Inverts `split_table`."""
    return rest | {"embed": rest.get("embed", {}) | {"embedding": table}}


def freeze_table(params: Params) -> Params:
    """Returns the parameters, without gradient through the table, if that is among them."""
    if "embedding" not in params.get("embed", {}):
        return params
    rest, table = split_table(params)
    return join_table(rest, jax.lax.stop_gradient(table))


def parameter_counts(params: Params, vocab_size: int) -> tuple[int, int]:
    """Returns the numbers of parameters with and without the table, padding rows excluded."""
    rest, table = split_table(params)
    others = sum(leaf.size for leaf in jax.tree.leaves(rest))
    return others + vocab_size * table.shape[1], others
