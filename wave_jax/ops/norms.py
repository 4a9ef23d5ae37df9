"""The two norms behind a wave: over all tokens of a scope, and over all but one.

    G[k]   = sqrt(sum_j u[j,k]^2)             the magnitude
    r[j,k] = sqrt(sum_{i != j} u[i,k]^2)      the norm that leaves token j out

The textbook form of r, `sqrt(G^2 - u^2)`, cancels when one token dominates, its derivative divides
by a vanishing r, and squares overflow; none of this happens here. Tokens below 1e-18 (float32) of
the largest of their scope count as 0.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, Bool, Shaped

from wave_jax.ops.validation import Mask, Segments, Tokens, checked_tokens, keep

_BLOCK = 128  # terms of a longer sum that are added up first, so that rounding does not grow with n


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
    real = checked_tokens(u, mask, segment_ids)
    norm = root_of_squares(scope_sum, real, scale_of(real, segment_ids), segment_ids)
    return norm.astype(u.dtype)


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
    real = checked_tokens(u, mask, segment_ids)
    return keep(_leave_one_out(real, segment_ids), mask, segment_ids).astype(u.dtype)


def ratio(x: ArrayLike, norm: Array) -> Array:
    """Returns x / norm, and 0 where the norm is 0."""
    positive = norm > 0
    return jnp.where(positive, x / jnp.where(positive, norm, 1), 0)


@partial(jax.custom_jvp, nondiff_argnums=(0,))
def root_of_squares(total: Callable[..., Array], u: Array, scale: Array, *which: Any) -> Array:
    """Returns sqrt(total(u^2, *which)), `total` a sum over some tokens, `scale` by `scale_of`."""
    return scale * jnp.sqrt(total((u / scale) ** 2, *which))


@root_of_squares.defjvp
def _root_of_squares_jvp(
    total: Callable[..., Array], primals: tuple, tangents: tuple
) -> tuple[Array, Array]:
    """dG = sum_j (u_j / G) du_j, every factor at most 2; the scale cancels, at any order."""
    u, scale, *which = primals
    norm = root_of_squares(total, *primals)
    return norm, total((u / scale) * tangents[0], *which) * ratio(1, norm / scale)


@jax.custom_jvp
def _leave_one_out(u: Tokens, segments: Segments | None) -> Tokens:
    scale, (_, largest) = scale_of(u, segments), largest_in_scope(u, segments)
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
    scale, (_, largest) = scale_of(u, segments), largest_in_scope(u, segments)
    terms = (u / scale) * du
    rest = (scope_sum(terms, segments) - terms) * ratio(scale, r)
    r_largest = scope_sum(jnp.where(largest, r, 0), segments)
    rest_largest = scope_sum(jnp.where(largest, 0, ratio(u, r_largest) * du), segments)
    return r, jnp.where(largest, rest_largest, rest)


def scale_of(u: Tokens, segments: Segments | None = None) -> Tokens:
    """Returns 2^floor(log2 max |u|) for each scope and dimension, a constant to differentiation.

    Dividing by it is exact, however the compiler rewrites the division; dividing by the maximum
    itself is not (x * (1/x) need not be 1). It and its reciprocal are normal numbers.
    """
    top = scope_max(jnp.abs(jax.lax.stop_gradient(u)), segments)
    info = jnp.finfo(top.dtype)
    integer = jnp.dtype(f"int{info.bits}")
    exponent = top.view(integer) & jnp.asarray(jnp.inf, top.dtype).view(integer)
    smallest = float(info.tiny) * 2
    return jnp.clip(exponent.view(top.dtype), smallest, 1 / smallest)


def scope_sum(x: Tokens, segments: Segments | None) -> Tokens:
    """Returns the sum over the scope of each token: [*b, 1, d], with segments [*b, n, d]."""
    if segments is not None:
        return _over_segments(x, segments, "add", 0)
    n = x.shape[-2]
    if n <= _BLOCK:
        return jnp.sum(x, axis=-2, keepdims=True)
    blocks = -(-n // _BLOCK)
    padding = [(0, 0)] * (x.ndim - 2) + [(0, blocks * _BLOCK - n), (0, 0)]
    parts = jnp.pad(x, padding).reshape(*x.shape[:-2], blocks, _BLOCK, x.shape[-1])
    # The barrier keeps the compiler from merging the two sums into one long one.
    partial = jax.lax.optimization_barrier(jnp.sum(parts, axis=-2))
    return jnp.sum(partial, axis=-2, keepdims=True)


def scope_max(x: Tokens, segments: Segments | None) -> Tokens:
    """Returns the maximum over the scope of each token, for non-negative `x`."""
    if segments is None:
        return jnp.max(x, axis=-2, keepdims=True, initial=0)
    return _over_segments(x, segments, "max", 0)


def largest_in_scope(u: Tokens, segments: Segments | None) -> tuple[Tokens, Bool[Array, "*b n d"]]:
    """Returns the largest |u| of each scope and dimension, and where it is (the first of ties).

    Constants to differentiation. No argmax, which compilers for CPUs leave unvectorised.
    """
    size, n = jnp.abs(jax.lax.stop_gradient(u)), u.shape[-2]
    top = scope_max(size, segments)
    candidates = jnp.where(size == top, jnp.arange(n, dtype=jnp.int32)[:, None], n)
    if segments is None:
        first = jnp.min(candidates, axis=-2, keepdims=True, initial=n)
    else:
        first = _over_segments(candidates, segments, "min", n)
    return top, candidates == jnp.minimum(first, n - 1)


def _over_segments(
    x: Shaped[Array, "*b n d"], segments: Segments, reduction: str, initial: int
) -> Shaped[Array, "*b n d"]:
    """Reduces over equal segment ids and hands every token its segment's result."""
    n, d = x.shape[-2:]
    segments = jnp.asarray(segments)
    texts = jnp.arange(x.size // (n * d) if n * d else 0, dtype=segments.dtype)
    at = (segments.reshape(-1, n) + texts[:, None] * (n + 1)).reshape(-1)
    empty = jnp.full((texts.size * (n + 1), d), initial, x.dtype)
    reduced = getattr(empty.at[at], reduction)(x.reshape(-1, d))
    return reduced[at].reshape(x.shape)
