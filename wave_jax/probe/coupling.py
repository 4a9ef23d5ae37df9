"""How strongly each token's superposed wave depends on each token: Jacobian norms, closed form."""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from wave_jax.ops.norms import leave_one_out_norm, ratio
from wave_jax.ops.scope import Mask, Segments, Tokens, first_in_scope, scope_max, scope_sum
from wave_jax.ops.superposition import SegmentPair, Superposition, branch_scopes
from wave_jax.ops.validation import check_choice, check_pair, check_tokens, compute_dtype, keep

Matrix = Float[Array, "*b n n"]


def coupling(
    u1: Tokens,
    u2: Tokens,
    op: Superposition,
    *,
    mask: Mask | None = None,
    segment_ids: Segments | SegmentPair | None = None,
) -> tuple[Matrix, Matrix]:
    """Returns how strongly token j's superposed wave depends on token i, as two matrices.

    Entry [j, i] is the L2 norm, over the dimensions k, of the derivatives of Re Z_j[k] (first
    matrix) or Im Z_j[k] (second) by u1_i[k] and u2_i[k]; a dimension never depends on another. For
    interference the first matrix is diagonal, the real part is a token's own: only the imaginary
    part couples tokens. For modulation both do.

    From closed form, in matrix products: no array over tokens x tokens x dimensions is made.

    Args:
      u1, u2: the variants, [..., n, d], floating point, of one shape.
      op: 'interference' or 'modulation'.
      mask: bool [..., n], True at real tokens.
      segment_ids: int [..., n] or a pair of such, as for `ops.superpose`.

    Returns:
      (real, imag), [..., n, n] each, in the dtype of `u1`; rows and columns of padding are 0. The
      derivative of r_j is 0 where r_j is 0, as in `ops.leave_one_out_norm`. Entries below 1e-19
      (float32) of the largest |u| may come out 0.

    Raises:
      TypeError, ValueError: wrong dtypes, shapes or names, or both `mask` and `segment_ids`.

    >>> u = jnp.array([[3.0], [4.0]])
    >>> real, imag = coupling(u, u, "interference")
    >>> print(real.round(4))
    [[1.4142 0.    ]
     [0.     1.4142]]
    >>> print(imag.round(4))
    [[0.     1.4142]
     [1.4142 0.    ]]
    """
    check_choice(op, ("interference", "modulation"), "op")
    masks, segments = branch_scopes(mask, segment_ids)
    check_tokens(u1, masks[0], segments[0], "u1")
    check_tokens(u2, masks[1], segments[1], "u2")
    check_pair(u1, u2, ("u1", "u2"))
    dtype = compute_dtype(u1)
    first, second = (
        _branch(keep(jnp.asarray(u).astype(dtype), m, s), m, s)
        for u, m, s in zip((u1, u2), masks, segments, strict=True)
    )
    if op == "interference":
        one = keep(jnp.ones_like(first.u), masks[0], segments[0])
        real = _matrix(2 * one, jnp.zeros_like(first.others))
        imag = _matrix(jnp.zeros_like(one), _others(first, one) + _others(second, one))
        return real.astype(u1.dtype), imag.astype(u1.dtype)
    # Squares of all that follows must not overflow: the largest value becomes about 1.
    top = jnp.maximum(_largest_value(first.r, first.u), _largest_value(second.r, second.u))
    a, r, b, s = (ratio(x, top) for x in (first.u, first.r, second.u, second.r))
    real = top * _matrix(a * a + b * b, _others(first, s) + _others(second, r))
    imag = top * _matrix(r * r + s * s, _others(first, b) + _others(second, a))
    return real.astype(u1.dtype), imag.astype(u1.dtype)


class _Branch(NamedTuple):
    """A variant, its r, and what sums of squared dr_j/du_i are made of; every factor at most 1.

    For j other than the dimension's largest token, dr_j/du_i = (m/r_j) (u_i/m), m the largest |u|;
    for the largest, u_i/r_j as it is, r_j being the norm of all such u_i.
    """

    u: Tokens
    r: Tokens
    largest: Array
    inverse: Tokens  # (m/r_j)^2, 0 at the largest
    share: Tokens  # (u_i/m)^2
    share_rest: Tokens  # (u_i/r_largest)^2, 0 at the largest
    others: Array  # 1 for two different tokens of a scope, [..., n, n]


def _branch(u: Tokens, mask: Mask | None, segments: Segments | None) -> _Branch:
    segments = None if segments is None else jnp.asarray(segments)
    r = leave_one_out_norm(u, mask=mask, segment_ids=segments)
    size = jnp.abs(u)
    top = scope_max(size, segments)
    largest = first_in_scope(size == top, segments)
    rest = scope_sum(jnp.where(largest, r, 0), segments)
    return _Branch(
        u,
        r,
        largest,
        inverse=jnp.where(largest, 0, ratio(jnp.broadcast_to(top, r.shape), r)) ** 2,
        share=ratio(u, top) ** 2,
        share_rest=jnp.where(largest, 0, ratio(u, rest)) ** 2,
        others=_different(mask, segments, u),
    )


def _others(branch: _Branch, weight: Tokens) -> Matrix:
    """Returns sum_k (weight_j[k] dr_j[k]/du_i[k])^2 for all pairs of tokens."""
    squares = weight * weight
    products = _product(squares * branch.inverse, branch.share)
    products += _product(jnp.where(branch.largest, squares, 0), branch.share_rest)
    return products * branch.others


def _matrix(own: Tokens, others: Matrix) -> Matrix:
    """Returns the norms from squares: of the diagonal, still over dimensions, and off it."""
    diagonal = jnp.sum(own, axis=-1)
    return jnp.sqrt(others + diagonal[..., None] * jnp.eye(others.shape[-1], dtype=others.dtype))


def _product(x: Tokens, y: Tokens) -> Matrix:
    return jnp.einsum("...jk,...ik->...ji", x, y, precision=jax.lax.Precision.HIGHEST)


def _different(
    mask: Mask | None, segments: Int[Array, "*b n"] | None, u: Tokens
) -> Float[Array, "*b n n"]:
    n = u.shape[-2]
    ids = jnp.ones(u.shape[:-1], jnp.int32) if segments is None else segments
    if mask is not None:
        ids = jnp.where(mask, ids, 0)
    same = (ids[..., :, None] == ids[..., None, :]) & (ids > 0)[..., None]
    return (same & ~jnp.eye(n, dtype=bool)).astype(u.dtype)


def _largest_value(*arrays: Tokens) -> Float[Array, "*b 1 1"]:
    found = jnp.maximum(*(jnp.max(jnp.abs(x), axis=(-2, -1), initial=0) for x in arrays))
    return found[..., None, None]
