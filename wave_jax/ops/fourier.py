"""Token mixing by the Fourier transform, over a text's own tokens."""

from __future__ import annotations

import math

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float


def fourier_mix(x: Float[Array, "*b n d"], mask: Bool[Array, "*b n"]) -> Float[Array, "*b n d"]:
    """Returns the real part of each text's Fourier transform over tokens and dimensions.

    `Re(F_n x F_d)`, as `numpy.fft.fft2(text).real` of the n kept tokens alone, in their order
    (FNet, arXiv 2105.03824, equation 3). The tokens' transform is a product with cosines and sines
    of the text's own length, so that padding and dropped words leave no trace: n^2 d operations,
    where a batch of equal lengths would need n log(n) d. Angles are reduced as integers, and so are
    exact.

    Masked positions come out 0.

    >>> fourier_mix(jnp.ones((3, 2)), jnp.array([True, True, False]))[:, 0]
    Array([4., 0., 0.], dtype=float32)
    """
    across = jnp.fft.fft(x, axis=-1)
    count = jnp.sum(mask, axis=-1, dtype=jnp.int32)
    place = jnp.cumsum(mask, axis=-1, dtype=jnp.int32) - 1
    turns = (place[..., :, None] * place[..., None, :]) % count[..., None, None]
    angle = turns.astype(x.dtype) * (2 * math.pi / count[..., None, None].astype(x.dtype))
    both = mask[..., :, None] & mask[..., None, :]
    cosine, sine = (jnp.where(both, part(angle), 0) for part in (jnp.cos, jnp.sin))
    return cosine @ across.real + sine @ across.imag
