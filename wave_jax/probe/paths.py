"""The gradient of a wave's tokens, split into the part through magnitude and that through phase.

As in Zhang & Sheng, The Backpropagation of the Wave Network (arXiv 2411.06989): a wave is
Z = u + i r = G exp(i alpha), its cotangents (p, q) = (dL/d Re Z, dL/d Im Z). With
c = cos(alpha) = u/G and s = sin(alpha) = r/G, j running over the tokens of a scope:

    dL/dG       = sum_j (p_j c_j + q_j s_j)                  all phases of the scope held fixed
    dL/dalpha_j = G (q_j c_j - p_j s_j)                      G and all other phases held fixed
    magnitude path of dL/du_i = (dL/dG) dG/du_i              dG/du_i = c_i
    phase path of dL/du_i     = sum_j (dL/dalpha_j) dalpha_j/du_i
        dalpha_i/du_i = -s_i/G          dalpha_j/du_i = (c_i/G) (c_j/s_j)  for j != i

The last factor grows without bound as token j dominates, while what it multiplies vanishes. So the
dominating token's term is left out of the sum and added with its factors combined, as in the
derivative of `ops.leave_one_out_norm`: every factor here is bounded by the number of tokens.
"""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
from jaxtyping import Array

from wave_jax.ops.norms import largest_in_scope, magnitude, ratio, scope_sum
from wave_jax.ops.validation import Mask, Segments, Tokens, check_alike, checked_tokens, keep
from wave_jax.ops.waves import wave_parts


def split_gradient(
    u: Tokens,
    p: Tokens,
    q: Tokens,
    *,
    mask: Mask | None = None,
    segment_ids: Segments | None = None,
) -> tuple[Tokens, Tokens]:
    """Returns the magnitude path and the phase path of dL/du.

    Their sum is dL/du as `jax.grad` gives it through `ops.token_to_wave` (or `superpose`).

    Args:
      u, mask, segment_ids: as for `ops.magnitude`.
      p, q: the wave's cotangents dL/d Re Z and dL/d Im Z, [..., n, d].

    Returns:
      (magnitude_path, phase_path), [..., n, d] each, in the dtype of `u`, 0 at padding. Finite
      wherever the result is representable. Where G is 0, the magnitude path is 0 and the phase path
      is p. Where r_j is 0 (only token j is not 0), q_j adds nothing to the phase path of the
      others: the mean of its one-sided values, as in `ops.leave_one_out_norm`.

    >>> u = jnp.array([[3.0], [4.0]])  # phases: cos = 0.6 and 0.8, sin = 0.8 and 0.6
    >>> p, q = jnp.array([[1.0], [0.0]]), jnp.zeros((2, 1))
    >>> for path in split_gradient(u, p, q):
    ...     print(*(f"{x:.2f}" for x in path.ravel()))
    0.36 0.48
    0.64 -0.48
    """
    given, segments = u, segment_ids
    u, p, q, norm, rest, cos, sin = _wave(u, p, q, mask, segments)
    magnitude_path = scope_sum(p * cos + q * sin, segments) * cos
    own = (p * sin - q * cos) * sin
    _, largest = largest_in_scope(u, segments)
    # Tokens but the largest: r is at least the largest |u|, so u/r is at most 1.
    terms = jnp.where(largest, 0, cos * (q * ratio(u, rest) - p))
    others = cos * (scope_sum(terms, segments) - terms)
    # The largest token: its r is the norm of all others, so (u of another)/r is at most 1.
    tops = (jnp.where(largest, x, 0) for x in (cos, p, q, rest))
    cos_top, p_top, q_top, rest_top = (scope_sum(x, segments) for x in tops)
    top = cos_top * (ratio(u, rest_top) * (q_top * cos_top) - cos * p_top)
    phase_path = jnp.where(norm > 0, own + others + jnp.where(largest, 0, top), p)
    paths = keep(magnitude_path, mask, segments), keep(phase_path, mask, segments)
    return paths[0].astype(given.dtype), paths[1].astype(given.dtype)


def polar_gradient(
    u: Tokens,
    p: Tokens,
    q: Tokens,
    *,
    mask: Mask | None = None,
    segment_ids: Segments | None = None,
) -> tuple[Tokens, Tokens]:
    """Returns dL/dG and dL/dalpha, the wave's cotangents in polar coordinates.

    Args: as for `split_gradient`.

    Returns:
      dL/dG, phases held fixed: [..., 1, d], with `segment_ids` [..., n, d], each token's own scope;
      dL/dalpha, [..., n, d], G and the other phases held fixed. Both in the dtype of `u`; 0 where
      G is 0.
    """
    _, p, q, norm, _, cos, sin = _wave(u, p, q, mask, segment_ids)
    d_magnitude = scope_sum(p * cos + q * sin, segment_ids)
    d_phase = keep(norm * (q * cos - p * sin), mask, segment_ids)
    return d_magnitude.astype(u.dtype), d_phase.astype(u.dtype)


def magnitude_share(
    magnitude_path: Tokens, phase_path: Tokens, axis: int | tuple[int, ...] | None = None
) -> Array:
    """Returns |magnitude path| / (|magnitude path| + |phase path|), L2 norms over `axis`.

    In [0, 1]; 0.5 where both are 0. By default over all axes.

    >>> magnitude_share(jnp.array([3.0, 4.0]), jnp.array([0.0, 15.0]))
    Array(0.25, dtype=float32)
    """
    squares = (jnp.square(path) for path in (magnitude_path, phase_path))
    first, second = (jnp.sqrt(jnp.sum(x, axis=axis)) for x in squares)
    return jnp.where(first + second > 0, ratio(first, first + second), 0.5)


def _wave(
    u: Tokens, p: Tokens, q: Tokens, mask: Mask | None, segments: Segments | None
) -> tuple[Any, ...]:
    """Returns (u, p, q, G, r, cos, sin), 0 at padding, in float32 or float64."""
    wide, rest = wave_parts(u, mask, segments)
    check_alike("real", u=u, p=p)
    check_alike("real", u=u, q=q)
    p, q = (checked_tokens(x, mask, segments).astype(wide.dtype) for x in (p, q))
    norm = magnitude(wide, mask=mask, segment_ids=segments)
    return wide, p, q, norm, rest, ratio(wide, norm), ratio(rest, norm)
