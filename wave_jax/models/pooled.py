"""The wave of [CLS] alone: what pooling on it needs, without computing the others.

[CLS] needs its own variants and, for each, r_0 = sqrt(sum of squares of the other tokens). No
subtraction is involved, so no care for cancellation either.
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int


def others_of_first(
    mask: Bool[Array, "b n"], segment_ids: Int[Array, "b n"] | None
) -> Bool[Array, "b n"]:
    """Returns True at the tokens, other than the first, that share the first one's scope."""
    others = mask & (jnp.arange(mask.shape[1]) > 0)
    return others if segment_ids is None else others & (segment_ids == segment_ids[:, :1])


def rest_norm(u: Float[Array, "b n d"], others: Bool[Array, "b n"]) -> Float[Array, "b d"]:
    """Returns the norm over the tokens in `others`; derivative 0 where it is 0."""
    return _root(jnp.sum(jnp.where(others[..., None], u * u, 0), axis=1))


def rest_norm_by_counts(
    u: Float[Array, "m d"], inverse: Int[Array, "b n"], others: Bool[Array, "b n"]
) -> Float[Array, "b d"]:
    """Returns `rest_norm(u[inverse], others)`: r_0^2 = C u^2, see `sum_by_counts`."""
    return _root(sum_by_counts(u * u, inverse, others))


def sum_by_counts(
    x: Float[Array, "m d"], inverse: Int[Array, "b n"], kept: Bool[Array, "b n"]
) -> Float[Array, "b d"]:
    """Returns the sums of x[inverse] over the tokens in `kept`, as the product C x.

    C[text, row] is how often the row stands among the text's kept tokens: no array over texts x
    tokens x dimensions exists.
    """
    texts = jnp.broadcast_to(jnp.arange(inverse.shape[0])[:, None], inverse.shape)
    number, (b, m) = kept.astype(x.dtype), (inverse.shape[0], x.shape[0])
    counts = jnp.zeros((b, m), x.dtype).at[texts, inverse].add(number)
    transposed = jnp.zeros((m, b), x.dtype).at[inverse, texts].add(number)
    return _count_product(counts, transposed, x)


@jax.custom_vjp
def _count_product(
    counts: Float[Array, "b m"], transposed: Float[Array, "m b"], x: Float[Array, "m d"]
) -> Float[Array, "b d"]:
    """counts x, constant in the counts; the backward product has its transpose at hand."""
    del transposed
    return counts @ x


def _count_product_forward(counts: Array, transposed: Array, x: Array) -> tuple[Array, Any]:
    return counts @ x, (jnp.zeros_like(counts), transposed)


def _count_product_backward(kept: Any, grad: Array) -> tuple[Array, Array, Array]:
    nothing, transposed = kept
    return nothing, jnp.zeros_like(transposed), transposed @ grad


_count_product.defvjp(_count_product_forward, _count_product_backward)


def _root(squares: Float[Array, "b d"]) -> Float[Array, "b d"]:
    positive = squares > 0
    return jnp.where(positive, jnp.sqrt(jnp.where(positive, squares, 1)), 0)
