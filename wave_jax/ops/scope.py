"""Which tokens share a magnitude: the whole text, or the tokens of one segment.

Shapes, here and in the other modules of `wave_jax.ops`: `*b` any number of leading axes, `n`
tokens, `d` dimensions.
"""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, Shaped

Mask = Bool[Array, "*b n"]
Segments = Int[Array, "*b n"]
Tokens = Float[Array, "*b n d"]

_BLOCK = (
    128  # longer sums are taken in blocks of this many terms, which bounds their rounding error
)


def scope_sum(x: Tokens, segments: Segments | None) -> Tokens:
    """Returns the sum over the scope of each token: [*b, 1, d], with segments [*b, n, d]."""
    if segments is None:
        return _blocked_sum(x)
    return _over_segments(x, segments, lambda out, at, rows: out.at[at].add(rows), 0)


def scope_max(x: Tokens, segments: Segments | None) -> Tokens:
    """Returns the maximum over the scope of each token, for non-negative `x`."""
    if segments is None:
        return jnp.max(x, axis=-2, keepdims=True, initial=0)
    return _over_segments(x, segments, lambda out, at, rows: out.at[at].max(rows), 0)


def first_in_scope(hit: Bool[Array, "*b n d"], segments: Segments | None) -> Bool[Array, "*b n d"]:
    """Returns True at the first token of each scope where `hit` is True, for each dimension.

    Two plain reductions instead of an argmax, which compilers for CPUs leave unvectorised.
    """
    n = hit.shape[-2]
    index = jnp.arange(n, dtype=jnp.int32)[:, None]
    candidates = jnp.where(hit, index, n)
    if segments is None:
        first = jnp.min(candidates, axis=-2, keepdims=True, initial=n)
    else:
        first = _over_segments(candidates, segments, lambda out, at, rows: out.at[at].min(rows), n)
    return candidates == jnp.minimum(first, n - 1)


def _blocked_sum(x: Tokens) -> Tokens:
    """Sums over tokens in two levels, so that the rounding error does not grow with n."""
    n = x.shape[-2]
    if n <= _BLOCK:
        return jnp.sum(x, axis=-2, keepdims=True)
    blocks = -(-n // _BLOCK)
    padding = [(0, 0)] * (x.ndim - 2) + [(0, blocks * _BLOCK - n), (0, 0)]
    parts = jnp.pad(x, padding).reshape(*x.shape[:-2], blocks, _BLOCK, x.shape[-1])
    # The barrier keeps the compiler from merging the two sums into one long one.
    partial = jax.lax.optimization_barrier(jnp.sum(parts, axis=-2))
    return jnp.sum(partial, axis=-2, keepdims=True)


def _over_segments(
    x: Shaped[Array, "*b n d"],
    segments: Segments,
    scatter: Callable[..., Array],
    initial: int,
) -> Shaped[Array, "*b n d"]:
    """Reduces over equal segment ids and hands every token its segment's result."""
    n, d = x.shape[-2:]
    rows = x.reshape(-1, d)
    texts = jnp.arange(rows.shape[0] // n if n else 0, dtype=segments.dtype)
    at = (segments.reshape(-1, n) + texts[:, None] * (n + 1)).reshape(-1)
    empty = jnp.full((texts.size * (n + 1), d), initial, x.dtype)
    return scatter(empty, at, rows)[at].reshape(x.shape)
