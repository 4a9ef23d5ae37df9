"""Sinusoidal positions."""

from __future__ import annotations

import jax.numpy as jnp
from jaxtyping import Array, Float

_LONGEST_WAVE = 10_000.0


def sinusoids(length: int, dim: int) -> Float[Array, "n d"]:
    """Returns the sinusoidal encodings of positions 0 ... length - 1, scaled by 1/sqrt(dim).

    Sines in the even dimensions, cosines in the odd ones, wavelengths from 2 pi to 10,000 times
    that (Vaswani et al., arXiv 1706.03762, section 3.5). The scale brings them to the size of
    freshly initialised token embeddings, which they would otherwise drown.

    >>> sinusoids(2, 4)[0]
    Array([0. , 0.5, 0. , 0.5], dtype=float32)
    """
    index = jnp.arange(dim, dtype=jnp.float32)
    frequency = _LONGEST_WAVE ** (-2.0 * (index // 2) / dim)
    angles = jnp.arange(length, dtype=jnp.float32)[:, None] * frequency
    waves = jnp.where(index % 2 == 0, jnp.sin(angles), jnp.cos(angles))
    return waves * dim**-0.5
