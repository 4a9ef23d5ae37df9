"""How strongly each token's superposed wave depends on each token: Jacobian norms, closed form."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import get_args

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from wave_jax.ops.norms import largest_in_scope, ratio, scope_sum
from wave_jax.ops.superposition import Scope, SegmentPair, Superposition, branch_scopes
from wave_jax.ops.validation import Mask, Segments, Tokens, check_alike, check_choice, keep
from wave_jax.ops.waves import wave_parts

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
    matrix) or Im Z_j[k] (second) by u1_i[k] and u2_i[k]; dimensions do not depend on each other.
    For interference the first matrix is diagonal: only the imaginary part couples tokens. For
    modulation both do. Of a row's squares, both parts together, half are the token's own and half
    the others', who share them by (u_i/r_j)^2. In closed form, without an array over tokens x
    tokens x dimensions.

    Args, Raises: as for `ops.superpose`.

    Returns:
      (real, imag), [..., n, n] each, in the dtype of `u1`; rows and columns of padding are 0. The
      derivative of r_j is 0 where r_j is 0, as in `ops.leave_one_out_norm`. Entries below 1e-19
      (float32) of the largest |u| may come out 0.

    >>> u = jnp.array([[3.0], [4.0]])
    >>> print(coupling(u, u, "interference")[1].round(4))
    [[0.     1.4142]
     [1.4142 0.    ]]
    """
    check_choice(op, get_args(Superposition), "op")
    scopes = branch_scopes(mask, segment_ids)
    (a, r), (b, s) = wave_parts(u1, *scopes[0], "u1"), wave_parts(u2, *scopes[1], "u2")
    check_alike("real", u1=u1, u2=u2)
    first, second = _squares(a, r, scopes[0]), _squares(b, s, scopes[1])
    if op == "interference":
        one = keep(jnp.ones_like(a), *scopes[0])
        real = _norms(2 * one, jnp.zeros((), a.dtype))
        imag = _norms(jnp.zeros_like(one), first(one) + second(one))
    elif op == "modulation":  # scaled to about 1 at most, as squares must not overflow
        top = jnp.max(jnp.abs(jnp.stack([a, r, b, s])), (0, -2, -1), initial=0)[..., None, None]
        a, r, b, s = (ratio(x, top) for x in (a, r, b, s))
        real = top * _norms(a * a + b * b, first(s) + second(r))
        imag = top * _norms(r * r + s * s, first(b) + second(a))
    else:
        raise NotImplementedError(f"the Jacobian of {op}")
    return real.astype(u1.dtype), imag.astype(u1.dtype)


def _squares(u: Tokens, r: Tokens, scope: Scope) -> Callable[[Tokens], Matrix]:
    """Returns, given weights, sums over k of (weight_j[k] dr_j[k]/du_i[k])^2 for pairs of tokens.

    dr_j/du_i = u_i/r_j is a product of factors of at most 1: (m/r_j) (u_i/m), m the dimension's
    largest |u|; for the largest token itself u_i/r_j, as its r_j is the norm of all these u_i.
    """
    mask, segments = scope
    top, largest = largest_in_scope(u, segments)
    by_r, by_top = jnp.where(largest, 0, ratio(top, r)), ratio(u, top)
    by_rest = jnp.where(largest, 0, ratio(u, scope_sum(jnp.where(largest, r, 0), segments)))
    ids = jnp.ones(u.shape[:-1], jnp.int32) if segments is None else segments
    ids = ids if mask is None else jnp.where(mask, ids, 0)
    same = (ids[..., :, None] == ids[..., None, :]) & (ids > 0)[..., None]
    pairs = same & ~jnp.eye(u.shape[-2], dtype=bool)  # of different tokens in one scope
    product = partial(jnp.einsum, "...jk,...ik->...ji", precision=jax.lax.Precision.HIGHEST)

    def squares(weight: Tokens) -> Matrix:
        others = product((weight * by_r) ** 2, by_top**2)
        of_largest = product(jnp.where(largest, weight, 0) ** 2, by_rest**2)
        return jnp.where(pairs, others + of_largest, 0)

    return squares


def _norms(own: Tokens, others: Matrix) -> Matrix:
    """Returns norms from squares: those of the diagonal, still to be summed over k, and off it."""
    diagonal = jnp.sum(own, axis=-1)[..., None] * jnp.eye(own.shape[-2], dtype=own.dtype)
    return jnp.sqrt(others + diagonal)
