"""Pooling, dropout and positions, shared by all networks."""

from __future__ import annotations

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from wave_jax.models.config import Pooling
from wave_jax.models.dropout import drop_activations, drop_words

_LENGTH_MULTIPLE = 8


def pool(
    x: Float[Array, "b n d"], mask: Bool[Array, "b n"], pooling: Pooling
) -> Float[Array, "b d"]:
    """Returns one embedding a text: that of its first token, or the mean or maximum over all."""
    if pooling == "cls":
        return x[:, 0]
    if pooling == "max":
        # By index: the derivative of a maximum looks for equal values, which a compiler that
        # computes x twice need not find.
        best = jnp.argmax(jnp.where(mask[..., None], x, -jnp.inf), axis=1, keepdims=True)
        return jnp.take_along_axis(x, best, axis=1)[:, 0]
    total = jnp.sum(jnp.where(mask[..., None], x, 0), axis=1)
    return total / jnp.sum(mask, axis=1, keepdims=True)


def drop(module: nn.Module, x: Array, rate: float, deterministic: bool) -> Array:
    """Drops activations [b, n, d] or [b, d] with the module's stream 'dropout', in training."""
    if deterministic or rate == 0:
        return x
    return drop_activations(x, rate, module.make_rng("dropout"))


def keep_words(
    module: nn.Module, mask: Bool[Array, "b n"], rate: float, deterministic: bool
) -> Bool[Array, "b n"]:
    """Drops words with the module's stream 'word_dropout', in training."""
    if deterministic or rate == 0:
        return mask
    return drop_words(mask, rate, module.make_rng("word_dropout"))


def drop_weights(
    weights: Float[Array, "b h q k"], rate: float, key: jax.Array
) -> Float[Array, "b h q k"]:
    """Drops attention weights; a query has a stream of its own, so that padding changes nothing."""
    b, h, queries, keys = weights.shape

    def of_query(number: Array) -> Array:
        return jax.random.bernoulli(jax.random.fold_in(key, number), 1 - rate, (keys, b, h))

    kept = jax.vmap(of_query)(jnp.arange(queries))
    return jnp.where(jnp.transpose(kept, (2, 3, 0, 1)), weights / (1 - rate), 0)


def learned_positions(table: nn.Embed, length: int) -> Float[Array, "n d"]:
    """Returns the first rows of a table of positions; ValueError if texts can be longer.

    Batches are padded to a multiple of 8: what lies beyond the table by less is padding.
    """
    reach = table.num_embeddings
    if length >= reach + _LENGTH_MULTIPLE:
        raise ValueError(f"learned positions reach {reach} tokens, the batch has {length}")
    return table.embedding[np.minimum(np.arange(length), reach - 1)]
