"""Random omissions that depend neither on padding nor on the path through the network.

Random numbers are drawn with the token axis first, so that those of a token are the same whatever
comes after it: longer padding, or no other token at all where only [CLS] is computed.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, PRNGKeyArray


def drop_activations(
    x: Float[Array, "b *n d"], rate: float, key: PRNGKeyArray
) -> Float[Array, "b *n d"]:
    """Sets a share of the activations to 0 and scales up the rest (inverted dropout).

    `x` is [b, n, d], or [b, d] for the first token alone, which gets the same numbers.
    """
    tokens_first = x if x.ndim == 2 else jnp.swapaxes(x, 0, 1)
    kept = jax.random.bernoulli(key, 1 - rate, tokens_first.shape)
    if x.ndim == 3:
        kept = jnp.swapaxes(kept, 0, 1)
    return jnp.where(kept, x / (1 - rate), 0)


def drop_words(mask: Bool[Array, "b n"], rate: float, key: PRNGKeyArray) -> Bool[Array, "b n"]:
    """Takes a share of the tokens out of the mask; the first, [CLS], stays."""
    kept = jax.random.bernoulli(key, 1 - rate, mask.shape[::-1]).T
    return mask & kept.at[:, 0].set(True)
