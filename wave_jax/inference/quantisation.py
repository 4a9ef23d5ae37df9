"""Rows of a table as whole numbers of eight bits, with a scale each."""

from __future__ import annotations

import jax.numpy as jnp
from jaxtyping import Array, Float, Int8

_MOST = 127  # -128 is left out, so that a row is as exact below zero as above


def quantise(rows: Float[Array, "*m d"]) -> tuple[Int8[Array, "*m d"], Float[Array, "*m"]]:
    """Returns rows as int8 and the scale, float32, that each is to be multiplied by.

    The largest absolute value of a row becomes 127 or -127, and each is off by half a scale at
    most; a row of zeros has the scale 0. Rows [v, 2, d] of variants have a scale for each token and
    variant, [v, 2].

    >>> values, scales = quantise(jnp.array([[1.0, -2.0, 0.0]]))
    >>> values.tolist(), (values * scales[:, None]).round(2).tolist()
    ([[64, -127, 0]], [[1.0099999904632568, -2.0, 0.0]])
    """
    scales = jnp.max(jnp.abs(rows), axis=-1) / _MOST
    values = jnp.round(rows / jnp.where(scales > 0, scales, 1)[..., None])
    return jnp.clip(values, -_MOST, _MOST).astype(jnp.int8), scales.astype(jnp.float32)
