"""What all networks share: token embeddings, positions, dropout, pooling, sentences.

Random numbers are drawn with the token axis first, so that those of a token are the same whatever
comes after it: longer padding, or no other token at all where only [CLS] is computed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import chex
import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from wave_jax import ops
from wave_jax.models.config import Pooling, Position, table_rows

Ids = Int[Array, "b n"]
Mask = Bool[Array, "b n"]
Tokens = Float[Array, "b n d"]
Rows = Float[Array, "m d"]
RowIds = Int[Array, " m"]
Logits = Float[Array, "b c"]

ACTIVATIONS: dict[str, Callable[[Array], Array]] = {
    "gelu": partial(nn.gelu, approximate=False),
    "relu": nn.relu,
    "tanh": nn.tanh,
}
_LENGTH_MULTIPLE = 8  # to which batches are padded


class TextClassifier(nn.Module):
    """Token ids -> embeddings -> logits.

    `__call__` composes `embed` and `logits_from_embeddings`: between the two gradients are probed.
    Training (`deterministic=False`) draws from the streams 'dropout' and 'word_dropout'. Results
    do not depend on padding, beyond rounding. Attributes: see `ModelConfig`.
    """

    vocab_size: int
    num_classes: int
    max_length: int
    dim: int
    position: Position
    table_scale: float | None
    dropout: float
    word_dropout: float

    def setup(self) -> None:
        table, rows = partial(nn.Embed, embedding_init=self.table_init()), self.vocab_size
        self.token_embedding = table(table_rows(rows), self.table_width(), name="embed")
        if self.position == "learned":
            self.position_embedding = table(self.max_length, self.dim, name="position")

    def table_width(self) -> int:
        """Returns the columns of the embedding table."""
        return self.dim

    def table_init(self) -> nn.initializers.Initializer:
        """Returns the initializer of embeddings; by default a token's has a length of about 1."""
        return nn.initializers.normal(self.table_scale or max(self.dim, 1) ** -0.5)

    def __call__(self, ids: Ids, mask: Mask | None = None, *, deterministic: bool = True) -> Logits:
        """Returns logits [b, c] for ids [b, n]; without a mask every token is real."""
        real = jnp.ones(ids.shape, bool) if mask is None else mask
        check_batch(ids, real)
        return self.logits_from_embeddings(
            self.embed(ids),
            self.keep_words(real, deterministic),
            segment_ids=self.segment_ids(ids, real),
            deterministic=deterministic,
        )

    def embed(self, ids: Ids) -> Tokens:
        """Returns the token embeddings, positions included."""
        x = self.token_embedding(ids)
        positions = self.positions(ids.shape[1])
        return x if positions is None else x.at[..., : self.dim].add(positions)

    def segment_ids(self, ids: Ids, mask: Mask) -> Ids | None:
        """Returns each token's sentence (0 at padding), or None where sentences do not matter."""
        return None

    def logits_from_embeddings(
        self, emb: Tokens, mask: Mask, *, segment_ids: Ids | None = None, deterministic: bool = True
    ) -> Logits:
        """Returns logits from `embed(ids)`, the mask and `segment_ids(ids, mask)`."""
        raise NotImplementedError

    def positions(self, length: int) -> Float[Array, "n d"] | None:
        """Returns the encodings of the first `length` positions, or None without positions."""
        if self.position == "none":
            return None
        if self.position == "sinusoidal":
            return sinusoids(length, self.dim)
        table = self.position_embedding.embedding
        # Whatever lies beyond the table by less than the multiple is padding.
        if length >= len(table) + _LENGTH_MULTIPLE:
            raise ValueError(f"learned positions reach {len(table)} tokens, the batch has {length}")
        return table[np.minimum(np.arange(length), len(table) - 1)]

    def keep_words(self, mask: Mask, deterministic: bool) -> Mask:
        """Returns the mask without the words that training drops; the first, [CLS], stays."""
        if deterministic or self.word_dropout == 0:
            return mask
        key, rate = self.make_rng("word_dropout"), self.word_dropout
        kept = jax.random.bernoulli(key, 1 - rate, mask.shape[::-1]).T
        return mask & kept.at[:, 0].set(True)


class DistinctTokensClassifier(TextClassifier):
    """A classifier with a second entry point, which computes with a batch's distinct tokens."""

    def logits_from_distinct(
        self, distinct: RowIds, inverse: Ids, mask: Mask, *, deterministic: bool = True
    ) -> Logits:
        """Returns the logits of ids = distinct[inverse]; ids beyond the table are padding."""
        rows = self.token_embedding.embedding.at[distinct].get(mode="clip")
        return self.logits_from_rows(rows, distinct, inverse, mask, deterministic=deterministic)

    def logits_from_rows(
        self, rows: Rows, distinct: RowIds, inverse: Ids, mask: Mask, *, deterministic: bool = True
    ) -> Logits:
        """Returns logits from the distinct ids' embeddings, so that gradients arrive as rows."""
        raise NotImplementedError


def linear_logits(weights: Float[Array, "b n c"], mask: Mask) -> Logits:
    """Returns the sum of the weights of a text's n tokens but [CLS], the first, over n^(1/4).

    >>> linear_logits(jnp.array([[[9.0], [1.0], [3.0]]]), jnp.array([[True, True, False]]))
    Array([[1.]], dtype=float32)
    """
    others = ops.others_of_first(mask)
    total = jnp.sum(jnp.where(others[..., None], weights, 0), axis=1)
    return scale_linear(total, jnp.sum(others, axis=1))


def linear_logits_by_counts(weights: Rows, inverse: Ids, mask: Mask) -> Logits:
    """Returns `linear_logits(weights[inverse], mask)`, as a product with the tokens' counts."""
    others = ops.others_of_first(mask)
    return scale_linear(ops.sum_by_counts(weights, inverse, others), jnp.sum(others, axis=1))


def scale_linear(total: Logits, count: Int[Array, " b"]) -> Logits:
    """Returns the sums [b, c] of the weights of `count` [b] tokens over count^(1/4)."""
    return total * jnp.maximum(count, 1).astype(total.dtype)[:, None] ** -0.25


def check_batch(ids: Ids, mask: Mask) -> None:
    """Raises AssertionError unless `ids` are integers [b, n] and `mask` is bool [b, n]."""
    chex.assert_rank(ids, 2)
    chex.assert_type([ids, mask], [int, bool])
    chex.assert_equal_shape([ids, mask])


def pool(x: Tokens, mask: Mask, pooling: Pooling) -> Float[Array, "b d"]:
    """Returns one embedding a text: that of its first token, or the mean or maximum over all."""
    if pooling == "cls":
        return x[:, 0]
    if pooling == "max":
        # By index: the derivative of a maximum looks for equal values, which a compiler that
        # computes x twice need not find.
        best = jnp.argmax(jnp.where(mask[..., None], x, -jnp.inf), axis=1, keepdims=True)
        return jnp.take_along_axis(x, best, axis=1)[:, 0]
    total = jnp.sum(jnp.where(mask[..., None], x, 0), axis=1)
    return total / jnp.sum(mask, axis=1, keepdims=True)


def drop(module: nn.Module, x: Array, rate: float, deterministic: bool) -> Array:
    """Sets a share of activations to 0 and scales up the rest (inverted dropout), in training.

    `x` is [b, n, d], or [b, d] for the first token alone, which gets the same random numbers.
    """
    if deterministic or rate == 0:
        return x
    shape = x.shape if x.ndim == 2 else (x.shape[1], x.shape[0], x.shape[2])
    kept = jax.random.bernoulli(module.make_rng("dropout"), 1 - rate, shape)
    return jnp.where(kept if x.ndim == 2 else jnp.swapaxes(kept, 0, 1), x / (1 - rate), 0)


def sinusoids(length: int, dim: int) -> Float[Array, "n d"]:
    """Returns the sinusoidal encodings of positions 0 ... length - 1, scaled by 1/sqrt(dim).

    (Vaswani et al., arXiv 1706.03762, section 3.5; scaled to the size of fresh embeddings.)

    >>> sinusoids(2, 4)[0]
    Array([0. , 0.5, 0. , 0.5], dtype=float32)
    """
    index = jnp.arange(dim, dtype=jnp.float32)
    frequency = 10_000.0 ** (-2.0 * (index // 2) / dim)
    angles = jnp.arange(length, dtype=jnp.float32)[:, None] * frequency
    waves = jnp.where(index % 2 == 0, jnp.sin(angles), jnp.cos(angles))
    return waves * dim**-0.5


def sentence_ids(
    ids: Int[Array, "*b n"], mask: Bool[Array, "*b n"], end_ids: Sequence[int], sep_id: int
) -> Int[Array, "*b n"]:
    """Numbers the sentences of each text from 1; padding gets 0.

    A sentence ends after '.', '!' or '?' (`end_ids`) or several of them. [CLS] belongs to the first
    sentence, [SEP] (`sep_id`) to the last.

    >>> ids = jnp.array([2, 10, 9, 9, 11, 12, 9, 3, 0])  # [CLS] a . . b c . [SEP] [PAD]
    >>> sentence_ids(ids, ids > 0, end_ids=(9,), sep_id=3)
    Array([1, 1, 1, 1, 2, 2, 2, 2, 0], dtype=int32)
    """
    ends = jnp.isin(ids, jnp.asarray(end_ids, jnp.int32)) & mask
    after_end = jnp.pad(ends[..., :-1], [(0, 0)] * (ids.ndim - 1) + [(1, 0)])
    starts = after_end & ~ends & (ids != sep_id)
    return jnp.where(mask, 1 + jnp.cumsum(starts, axis=-1, dtype=jnp.int32), 0)
