"""The two norms behind a wave: over all tokens of a scope, and over all but one.

    G[k]   = sqrt(sum_j u[j,k]^2)             the magnitude
    r[j,k] = sqrt(sum_{i != j} u[i,k]^2)      the norm that leaves token j out

The textbook form of r, `sqrt(G^2 - u^2)`, cancels when one token dominates, its derivative divides
by a vanishing r, and squares overflow; none of this happens here. Tokens below 1e-18 (float32) of
the largest of their scope count as 0.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, Bool

from wave_jax.ops.scope import Mask, Segments, Tokens, first_in_scope, scope_max, scope_sum
from wave_jax.ops.validation import check_tokens, compute_dtype, keep


def magnitude(
    u: Tokens, *, mask: Mask | None = None, segment_ids: Segments | None = None
) -> Tokens:
    """Returns the magnitude G of each dimension, the global semantics of a text (eq. 1).

    Args:
      u: token embeddings, [..., n, d], floating point.
      mask: bool [..., n], True at real tokens.
      segment_ids: int [..., n]; tokens with the same positive id share a magnitude, 0 is padding.

    Returns:
      [..., 1, d] in the dtype of `u`; with `segment_ids` [..., n, d], each token's own scope. Its
      derivative is u/G, and 0 (the least subgradient) where G is 0.

    >>> magnitude(jnp.array([[3.0, 1.0], [4.0, 0.0]]))
    Array([[5., 1.]], dtype=float32)
    """
    check_tokens(u, mask, segment_ids)
    real = keep(jnp.asarray(u).astype(compute_dtype(u)), mask, segment_ids)
    norm = _scope_norm(real, scale_of(real, segment_ids), segment_ids)
    return keep(norm, None, segment_ids).astype(u.dtype)


def leave_one_out_norm(
    u: Tokens, *, mask: Mask | None = None, segment_ids: Segments | None = None
) -> Tokens:
    """Returns r, for each token the norm over the other tokens of its scope.

    The imaginary part of a token's wave (eq. 2). Arguments as for `magnitude`.

    Returns:
      [..., n, d] in the dtype of `u`, 0 at padding. Relative error at most 1e-6 in float32. The
      derivative is dr_j/du_i = u_i/r_j for i != j; where r_j is 0 (no other token, or all others
      0) it is 0, the least subgradient and the mean of the one-sided derivatives. Differentiable
      in forward and in reverse mode, to any order where r > 0.

    >>> leave_one_out_norm(jnp.array([[3.0], [4.0], [0.0]])).T
    Array([[4., 3., 5.]], dtype=float32)
    >>> jax.grad(lambda u: leave_one_out_norm(u).sum())(jnp.array([[2.0]]))  # one token alone
    Array([[0.]], dtype=float32)
    """
    check_tokens(u, mask, segment_ids)
    real = keep(jnp.asarray(u).astype(compute_dtype(u)), mask, segment_ids)
    return keep(_leave_one_out(real, segment_ids), mask, segment_ids).astype(u.dtype)


def ratio(x: ArrayLike, norm: Array) -> Array:
    """Returns x / norm, and 0 where the norm is 0."""
    positive = norm > 0
    return jnp.where(positive, x / jnp.where(positive, norm, 1), 0)


@jax.custom_jvp
def _scope_norm(u: Tokens, scale: Tokens, segments: Segments | None) -> Tokens:
    return scale * jnp.sqrt(scope_sum((u / scale) ** 2, segments))


@_scope_norm.defjvp
def _scope_norm_jvp(primals: tuple, tangents: tuple) -> tuple[Array, Array]:
    """dG = sum_j (u_j / G) du_j, with every factor at most 2; the scale cancels."""
    u, scale, segments = primals
    norm = _scope_norm(u, scale, segments)
    return norm, scope_sum((u / scale) * tangents[0], segments) * ratio(1, norm / scale)


@jax.custom_jvp
def _leave_one_out(u: Tokens, segments: Segments | None) -> Tokens:
    """r for tokens whose padding is already zero, in float32 or float64."""
    scale, largest = scale_of(u, segments), _largest(u, segments)
    u = u / scale
    size = jnp.abs(u)
    top = scope_max(size, segments)
    others = scope_sum(jnp.where(largest, 0, u * u), segments)
    # Terms that are never negative: top is the exact maximum of the same numbers.
    squared = jnp.where(largest, others, (top - size) * (top + size) + others)
    return scale * jnp.sqrt(squared)


@_leave_one_out.defjvp
def _leave_one_out_jvp(primals: tuple, tangents: tuple) -> tuple[Array, Array]:
    """dr_j = sum_{i != j} (u_i / r_j) du_i, with every factor bounded by 2.

    For the largest token the sum leaves its own term out. For any other, r_j is at least the
    largest |u|, so subtracting its own term from the whole sum loses nothing.
    """
    (u, segments), du = primals, tangents[0]
    r = _leave_one_out(u, segments)
    scale, largest = scale_of(u, segments), _largest(u, segments)
    terms = (u / scale) * du
    rest = (scope_sum(terms, segments) - terms) * ratio(scale, r)
    r_largest = scope_sum(jnp.where(largest, r, 0), segments)
    rest_largest = scope_sum(jnp.where(largest, 0, ratio(u, r_largest) * du), segments)
    return r, jnp.where(largest, rest_largest, rest)


def _largest(u: Tokens, segments: Segments | None) -> Bool[Array, "*b n d"]:
    """Returns where the first largest |u| of each scope stands."""
    size = jax.lax.stop_gradient(jnp.abs(u))
    return first_in_scope(size == scope_max(size, segments), segments)


def scale_of(u: Tokens, segments: Segments | None = None) -> Tokens:
    """Returns 2^floor(log2 max |u|) for each scope and dimension, a constant to differentiation.

    Dividing by it is exact, however the compiler rewrites the division; dividing by the maximum
    itself is not (x * (1/x) need not be 1). It and its reciprocal are normal numbers.
    """
    top = scope_max(jnp.abs(jax.lax.stop_gradient(u)), segments)
    info = jnp.finfo(top.dtype)
    integer = jnp.dtype(f"int{info.bits}")
    exponent_bits = jnp.asarray(jnp.inf, top.dtype).view(integer)
    power = (top.view(integer) & exponent_bits).view(top.dtype)
    smallest = float(info.tiny) * 2
    return jnp.clip(power, smallest, 1 / smallest)
