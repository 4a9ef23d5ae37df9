"""Sentences of a tokenised text, the scopes of sentence-level semantics."""

from __future__ import annotations

from collections.abc import Sequence

import jax.numpy as jnp
from jaxtyping import Array, Bool, Int


def sentence_ids(
    ids: Int[Array, "*b n"],
    mask: Bool[Array, "*b n"],
    end_ids: Sequence[int],
    sep_id: int,
) -> Int[Array, "*b n"]:
    """Numbers the sentences of each text from 1; padding gets 0.

    A sentence ends after '.', '!' or '?' (`end_ids`), and the next one starts at the next token
    that is none of these, so that '...' and '?!' close one sentence only. [CLS] belongs to the
    first sentence, [SEP] (`sep_id`) to the last.

    >>> ids = jnp.array([2, 10, 9, 9, 11, 12, 9, 3, 0])  # [CLS] a . . b c . [SEP] [PAD]
    >>> sentence_ids(ids, ids > 0, end_ids=(9,), sep_id=3)
    Array([1, 1, 1, 1, 2, 2, 2, 2, 0], dtype=int32)
    """
    ends = jnp.isin(ids, jnp.asarray(end_ids, jnp.int32)) & mask
    after_end = jnp.pad(ends[..., :-1], [(0, 0)] * (ids.ndim - 1) + [(1, 0)])
    starts = after_end & ~ends & (ids != sep_id)
    return jnp.where(mask, 1 + jnp.cumsum(starts, axis=-1, dtype=jnp.int32), 0)
