"""The gradient of a wave in polar coordinates, and how much of it takes which path.

With the cotangents (p, q) = (dL/d Re Z, dL/d Im Z) of a wave Z = u + i r = G exp(i alpha),
c = cos(alpha) = u/G and s = sin(alpha) = r/G, j running over the tokens of a scope:

    dL/dG       = sum_j (p_j c_j + q_j s_j)                  all phases of the scope held fixed
    dL/dalpha_j = G (q_j c_j - p_j s_j)                      G and all other phases held fixed

`ops.split_gradient` has the two paths themselves.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array

from wave_jax.errors import UserError
from wave_jax.ops.norms import magnitude, ratio, scope_sum
from wave_jax.ops.validation import Mask, Segments, Tokens, check_alike, checked_tokens, keep
from wave_jax.ops.waves import wave_parts
from wave_jax.probe.model_api import Ids, Labels, Params, Scalar, cross_entropy, real_tokens
from wave_jax.probe.model_api import Mask as TextMask


def polar_gradient(
    u: Tokens,
    p: Tokens,
    q: Tokens,
    *,
    mask: Mask | None = None,
    segment_ids: Segments | None = None,
) -> tuple[Tokens, Tokens]:
    """Returns dL/dG and dL/dalpha, the wave's cotangents in polar coordinates.

    Args:
      u, mask, segment_ids: as for `ops.magnitude`.
      p, q: the wave's cotangents dL/d Re Z and dL/d Im Z, [..., n, d].

    Returns:
      dL/dG, phases held fixed: [..., 1, d], with `segment_ids` [..., n, d], each token's own scope;
      dL/dalpha, [..., n, d], G and the other phases held fixed. Both in the dtype of `u`; 0 where
      G is 0.
    """
    wide, rest = wave_parts(u, mask, segment_ids)
    check_alike("real", u=wide, p=p)
    check_alike("real", u=wide, q=q)
    p, q = (checked_tokens(x, mask, segment_ids).astype(wide.dtype) for x in (p, q))
    norm = magnitude(wide, mask=mask, segment_ids=segment_ids)
    cos, sin = ratio(wide, norm), ratio(rest, norm)
    d_magnitude = scope_sum(p * cos + q * sin, segment_ids)
    d_phase = keep(norm * (q * cos - p * sin), mask, segment_ids)
    return d_magnitude.astype(u.dtype), d_phase.astype(u.dtype)


def polar_gradients(
    model: Any,
    params: Params,
    ids: Ids,
    labels: Labels,
    *,
    mask: TextMask | None = None,
    scalar: Scalar | None = None,
) -> tuple[Array, Array]:
    """Returns dL/dG and dL/dalpha of both variants of a network of one layer, by `jax.grad`.

    Args, Raises: as for `wave_gradients`, which has them with everything else; ValueError if the
    network has more than one layer.

    Returns:
      In the shapes of what `model.polar(ids, mask)` returns: [b, 1, 2, d] (where scopes are
      sentences [b, n, 2, d], each token's own) and [b, n, 2, d].
    """
    real, scalar = real_tokens(ids, mask), scalar or cross_entropy
    if not hasattr(model, "polar"):
        raise UserError(f"{type(model).__name__} has no waves: expected a Wave Network")
    apply = partial(model.apply, {"params": params})

    def loss(magnitude: Array, phase: Array) -> Array:
        logits = apply(magnitude, phase, ids, real, method="logits_from_polar")
        return jnp.sum(scalar(logits, labels))

    found: tuple[Array, Array] = jax.grad(loss, argnums=(0, 1))(*apply(ids, real, method="polar"))
    return found


def magnitude_share(
    magnitude_path: Tokens, phase_path: Tokens, axis: int | tuple[int, ...] | None = None
) -> Array:
    """Returns the magnitude path's share of the gradient's energy, sums of squares over `axis`.

    In [0, 1]; the phase path's is the rest. 0.5 where both are 0. By default over all axes.

    >>> magnitude_share(jnp.array([1.0, 0.0, 0.0]), jnp.array([1.0, 1.0, 1.0]))
    Array(0.25, dtype=float32)
    """
    paths = magnitude_path, phase_path
    scale = jnp.maximum(*(jnp.max(jnp.abs(x), axis=axis, keepdims=True) for x in paths))
    first, second = (jnp.sum(jnp.square(ratio(x, scale)), axis=axis) for x in paths)
    return jnp.where(first + second > 0, ratio(first, first + second), 0.5)
