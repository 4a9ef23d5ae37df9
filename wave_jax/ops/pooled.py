"""What pooling needs of a text, from a batch's distinct tokens: sums and norms as one product.

A batch of texts [b, n] is given by its distinct rows `u` [m, d] and `inverse` [b, n], the row of
every token. With C[text, row] how often a row occurs among the tokens of a text,

    sum of the tokens        C u
    r_0, norm of the others  sqrt(C u^2)     C over the tokens that share the first token's scope

so no array over texts x tokens x dimensions is made, and as nothing is subtracted, nothing cancels.
With something added to the tokens for their place, r_0 is computed text by text: that avoids the
array, too, and expanding (u + p)^2, whose parts cancel where u is close to -p.
"""

from __future__ import annotations

from functools import partial

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Float, Int

from wave_jax.ops.norms import magnitude, root_of_squares, scale_of
from wave_jax.ops.validation import Mask, Segments, check_kind, check_texts, compute_dtype

Rows = Float[Array, "*k m d"]
Places = Float[Array, "*k n d"]
Pooled = Float[Array, "*k b d"]
Inverse = Int[Array, "b n"]


def first_token_norm(
    u: Rows, inverse: Inverse, others: Mask, places: Places | None = None
) -> Pooled:
    """Returns r_0, the first row of `leave_one_out_norm`, without the others.

    Args:
      u: the batch's distinct rows, [..., m, d], floating point.
      inverse: int [b, n]: text t holds the tokens u[inverse[t]].
      others: bool [b, n], True at the tokens to sum over, see `others_of_first`.
      places: [..., n, d], added to the tokens of every text for their place; by default nothing.

    Returns:
      [..., b, d] in the dtype of `u`; 0 where a text has no others. Relative error at most 1e-6 in
      float32. Within a dimension, tokens below 1e-18 (float32) of the batch's largest count as 0;
      rows that occur in no text have no influence, whatever they hold. Differentiable as
      `leave_one_out_norm`: dr_0/du_i = u_i/r_0 for each occurrence, and 0 where r_0 is 0.

    >>> u = jnp.array([[9.0], [3.0], [4.0]])
    >>> inverse = jnp.array([[0, 1, 2], [0, 2, 2]])
    >>> others = others_of_first(jnp.array([[True] * 3, [True, True, False]]))
    >>> first_token_norm(u, inverse, others)
    Array([[5.],
           [4.]], dtype=float32)
    >>> first_token_norm(u, inverse, others, places=jnp.array([[7.0], [2.0], [8.0]]))
    Array([[13.],
           [ 6.]], dtype=float32)
    """
    check_texts(u, inverse, others)
    if places is not None:
        check_kind(places, "places", "real")
        if places.shape != (expected := (*u.shape[:-2], inverse.shape[1], u.shape[-1])):
            raise ValueError(f"places must have shape {expected}, got {places.shape}")
        return jnp.moveaxis(jax.lax.map(partial(_text_norm, u, places), (inverse, others)), 0, -2)
    dtype = compute_dtype(u)
    counts, transposed = _counts(inverse, others, u.shape[-2], dtype)
    occurs = jnp.any(transposed > 0, axis=-1)
    rows = jnp.where(occurs[:, None], u.astype(dtype), 0)
    norm = root_of_squares(_count_product, rows, scale_of(rows), counts, transposed)
    return norm.astype(u.dtype)


def sum_by_counts(x: Rows, inverse: Inverse, kept: Mask) -> Pooled:
    """Returns the sums of x[inverse] over the tokens in `kept`, as the product C x.

    Arguments as for `first_token_norm`, all rows finite. Returns [..., b, d] in the dtype of `x`.

    >>> x = jnp.array([[1.0], [2.0], [4.0]])
    >>> sum_by_counts(x, jnp.array([[0, 2, 2]]), jnp.array([[True, True, True]]))
    Array([[9.]], dtype=float32)
    """
    check_texts(x, inverse, kept)
    return _count_product(x, *_counts(inverse, kept, x.shape[-2], x.dtype))


def scaled_squares(u: Rows) -> tuple[Rows, Float[Array, "*k 1 d"]]:
    """Returns (u/scale)^2 and the scale, a power of two for each dimension.

    Sums of these rows neither overflow nor vanish; `norm_from_squares` turns them into norms. Rows
    below 1e-18 (float32) of a dimension's largest come out 0. Both are in float32, or float64 for
    float64.

    >>> squares, scale = scaled_squares(jnp.array([[3e30], [4e30]]))
    >>> norm_from_squares(squares.sum(axis=0), scale)
    Array([[5.e+30]], dtype=float32)
    """
    check_kind(u, "u", "real")
    rows = u.astype(compute_dtype(u))
    scale = scale_of(rows)
    return (rows / scale) ** 2, scale


def norm_from_squares(total: Pooled, scale: Float[Array, "*k 1 d"]) -> Pooled:
    """Returns the norms scale * sqrt(total) of sums of `scaled_squares`; derivative 0 where 0."""
    positive = total > 0
    return scale * jnp.where(positive, jnp.sqrt(jnp.where(positive, total, 1)), 0)


def others_of_first(mask: Mask, segment_ids: Segments | None = None) -> Mask:
    """Returns True at the tokens, other than the first, that share the first one's scope.

    >>> others_of_first(jnp.array([True, True, False]))
    Array([False,  True, False], dtype=bool)
    """
    others = mask & (jnp.arange(mask.shape[-1]) > 0)
    return others if segment_ids is None else others & (segment_ids == segment_ids[..., :1])


@jax.checkpoint
def _text_norm(u: Rows, places: Places, text: tuple[Array, Mask]) -> Float[Array, "*k d"]:
    """Returns r_0 of one text; its tokens are gathered anew in the backward pass, not kept."""
    row, others = text
    tokens = jnp.take(u, row, axis=-2, mode="clip") + places
    return magnitude(tokens, mask=jnp.broadcast_to(others, tokens.shape[:-1]))[..., 0, :]


@jax.custom_jvp
def _count_product(x: Rows, counts: Float[Array, "b m"], transposed: Float[Array, "m b"]) -> Pooled:
    """Returns counts x; its transpose, the backward pass, is a plain product with `transposed`."""
    del transposed
    return counts @ x


@_count_product.defjvp
def _count_product_jvp(primals: tuple, tangents: tuple) -> tuple[Array, Array]:
    transposed = primals[2]
    return _count_product(*primals), jnp.einsum("mb,...md->...bd", transposed, tangents[0])


def _counts(
    inverse: Inverse, kept: Mask, rows: int, dtype: DTypeLike
) -> tuple[Float[Array, "b m"], Float[Array, "m b"]]:
    """Returns how often each row occurs among a text's kept tokens, and the transpose of that."""
    texts = jnp.broadcast_to(jnp.arange(inverse.shape[0])[:, None], inverse.shape)
    number = kept.astype(dtype)
    counts = jnp.zeros((inverse.shape[0], rows), dtype).at[texts, inverse].add(number)
    transposed = jnp.zeros((rows, inverse.shape[0]), dtype).at[inverse, texts].add(number)
    return counts, transposed
