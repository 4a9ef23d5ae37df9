"""What waves are compared with: linear path, pooled embeddings, Transformer, BERT, FNet."""

from __future__ import annotations

import math
from functools import partial
from typing import Literal

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from wave_jax import ops
from wave_jax.models.base import (
    ACTIVATIONS,
    DistinctTokensClassifier,
    Ids,
    Logits,
    Mask,
    RowIds,
    Rows,
    TextClassifier,
    Tokens,
    check_batch,
    drop,
    linear_logits,
    linear_logits_by_counts,
    pool,
)
from wave_jax.models.config import Activation, Pool, Pooling

Mixing = Literal["attention", "fourier"]
NORM_EPSILON = 1e-12  # BERT's
_SMALLEST = 1e-12  # |u| below this counts as this in a power, whose derivative is unbounded at 0
_BERT_INIT = nn.initializers.truncated_normal(0.02)


class MeanClassifier(DistinctTokensClassifier):
    """Token embeddings -> mean -> classifier, as of Joulin et al., arXiv 1607.01759."""

    def setup(self) -> None:
        super().setup()
        self.classifier = nn.Dense(self.num_classes)

    def logits_from_embeddings(
        self, emb: Tokens, mask: Mask, *, segment_ids: Ids | None = None, deterministic: bool = True
    ) -> Logits:
        """See `TextClassifier`; `segment_ids` is not used."""
        mean = pool(emb, mask, "mean")
        return self.classifier(drop(self, mean, self.dropout, deterministic))

    def logits_from_rows(
        self, rows: Rows, distinct: RowIds, inverse: Ids, mask: Mask, *, deterministic: bool = True
    ) -> Logits:
        """See `DistinctTokensClassifier`; the sum is a product with the tokens' counts."""
        check_batch(inverse, mask)
        kept = self.keep_words(mask, deterministic)
        mean = ops.sum_by_counts(rows, inverse, kept) / jnp.sum(kept, axis=1, keepdims=True)
        return self.classifier(drop(self, mean, self.dropout, deterministic))


class LinearClassifier(DistinctTokensClassifier):
    """The linear path alone: a bag-of-tokens classifier. Attributes: see `ModelConfig`."""

    def setup(self) -> None:
        super().setup()
        self.bias = self.param("bias", nn.initializers.zeros, (self.num_classes,))

    def table_width(self) -> int:
        """Returns the number of classes."""
        return self.num_classes

    def table_init(self) -> nn.initializers.Initializer:
        """Returns the initializer of weights, zero."""
        return nn.initializers.zeros

    def logits_from_embeddings(
        self, emb: Tokens, mask: Mask, *, segment_ids: Ids | None = None, deterministic: bool = True
    ) -> Logits:
        """See `TextClassifier`; `segment_ids` is not used."""
        return linear_logits(emb, mask) + self.bias

    def logits_from_rows(
        self, rows: Rows, distinct: RowIds, inverse: Ids, mask: Mask, *, deterministic: bool = True
    ) -> Logits:
        """See `DistinctTokensClassifier`."""
        kept = self.keep_words(mask, deterministic)
        return linear_logits_by_counts(rows, inverse, kept) + self.bias


class PoolingClassifier(DistinctTokensClassifier):
    """Token embeddings [n, 2d] -> one pooled value a dimension -> (feed-forward ->) classifier.

    One layer of waves under [CLS] pooling takes two norms in each dimension from a text, r and r':
    these are the controls that tell waves from the pooling of norms, under the heads that waves
    have. Attributes: see `ModelConfig`; the table is that of two embeddings a token.
    """

    pool: Pool
    head: Literal["ffn", "linear"]
    ffn_dim: int
    activation: Activation

    def setup(self) -> None:
        super().setup()
        if self.pool == "power":
            self.power = self.param("power", nn.initializers.zeros, ())
        if self.head == "ffn":
            self.norm_in = nn.LayerNorm(use_fast_variance=False)
            self.ffn_in, self.ffn_out = nn.Dense(self.ffn_dim), nn.Dense(self.dim)
            self.norm_out = nn.LayerNorm(use_fast_variance=False)
        self.classifier = nn.Dense(self.num_classes)

    def table_width(self) -> int:
        """Returns the columns of the embedding table."""
        return 2 * self.dim

    def logits_from_embeddings(
        self, emb: Tokens, mask: Mask, *, segment_ids: Ids | None = None, deterministic: bool = True
    ) -> Logits:
        """See `TextClassifier`; `segment_ids` is not used."""
        x = self.pooled(emb, mask)
        if self.head == "ffn":
            hidden = ACTIVATIONS[self.activation](self.ffn_in(self.norm_in(x)))
            x = self.norm_out(self.ffn_out(drop(self, hidden, self.dropout, deterministic)))
        return self.classifier(drop(self, x, self.dropout, deterministic))

    def logits_from_rows(
        self, rows: Rows, distinct: RowIds, inverse: Ids, mask: Mask, *, deterministic: bool = True
    ) -> Logits:
        """See `DistinctTokensClassifier`."""
        check_batch(inverse, mask)
        kept = self.keep_words(mask, deterministic)
        return self.logits_from_embeddings(rows[inverse], kept, deterministic=deterministic)

    def pooled(self, u: Tokens, mask: Mask) -> Float[Array, "b k"]:
        """Returns a text's pooled tokens but [CLS], the first: k is 2d, or d for two norms."""
        others = ops.others_of_first(mask)
        others = others.at[:, 0].set(~jnp.any(others, axis=1))  # an empty text has [CLS] alone
        if self.pool in ("mean", "max"):
            return pool(u, others, self.pool)
        if self.pool == "mean-abs":
            return pool(jnp.abs(u), others, "mean")
        if self.pool == "power":
            p = 1 + nn.softplus(self.power)
            logs = p * jnp.log(jnp.maximum(jnp.abs(u), _SMALLEST))
            total = jax.nn.logsumexp(jnp.where(others[..., None], logs, -jnp.inf), axis=1)
            return jnp.exp((total - jnp.log(jnp.sum(others, axis=1, keepdims=True))) / p)
        r = ops.magnitude(u, mask=others)[:, 0]
        if self.pool == "norm":
            return r
        first, second = jnp.split(r, 2, axis=-1)
        return first * second if self.pool == "norm-product" else first + second


class EncoderLayer(nn.Module):
    """Token mixing and feed-forward, each with a residual connection and a norm after it.

    Self-attention (Vaswani et al., arXiv 1706.03762, section 3.1), or Fourier transforms
    (Lee-Thorp et al., arXiv 2105.03824, figure 1). Padding is mixed into no token. Dropout acts on
    attention weights and on the outputs of attention and feed-forward.
    """

    dim: int
    ffn_dim: int
    mixing: Mixing
    heads: int
    activation: Activation
    dropout: float
    kernel_init: nn.initializers.Initializer

    @nn.compact
    def __call__(self, x: Tokens, mask: Mask, *, deterministic: bool = True) -> Tokens:
        """Returns the layer's output [b, n, d]."""
        if self.mixing == "fourier":
            x = self._norm("norm_mixing")(x + fourier_mix(x, mask))
        else:
            x = self._norm("norm_attention")(x + self._attend(x, mask, deterministic))
        hidden = ACTIVATIONS[self.activation](self._dense("ffn_in", self.ffn_dim)(x))
        out = drop(self, self._dense("ffn_out", self.dim)(hidden), self.dropout, deterministic)
        return self._norm("norm_ffn")(x + out)

    def _attend(self, x: Tokens, mask: Mask, deterministic: bool) -> Tokens:
        head_dim = self.dim // self.heads
        query, key, value = (
            self._dense(name, self.dim)(x).reshape(*x.shape[:2], self.heads, head_dim)
            for name in ("query", "key", "value")
        )
        scores = jnp.einsum("bqhd,bkhd->bhqk", query, key) / math.sqrt(head_dim)
        weights = nn.softmax(jnp.where(mask[:, None, None, :], scores, -jnp.inf), axis=-1)
        if not deterministic and self.dropout > 0:
            weights = drop_weights(weights, self.dropout, self.make_rng("dropout"))
        mixed = jnp.einsum("bhqk,bkhd->bqhd", weights, value).reshape(x.shape)
        out = self._dense("attention_out", self.dim)(mixed)
        return drop(self, out, self.dropout, deterministic)

    def _dense(self, name: str, width: int) -> nn.Dense:
        return nn.Dense(width, kernel_init=self.kernel_init, name=name)

    def _norm(self, name: str) -> nn.LayerNorm:
        return nn.LayerNorm(epsilon=NORM_EPSILON, use_fast_variance=False, name=name)


class EncoderClassifier(TextClassifier):
    """Token embeddings -> norm -> encoder layers -> pooling -> classifier.

    A Transformer encoder, FNet (`mixing` is 'fourier'), or BERT (`bert`; Devlin et al., arXiv
    1810.04805): with learned positions, token types (every text is of the first), an initialisation
    of its own and a pooler, a dense layer with tanh on [CLS]. Attributes: see `ModelConfig`.
    """

    ffn_dim: int
    layers: int
    heads: int
    pooling: Pooling
    activation: Activation
    mixing: Mixing = "attention"
    bert: bool = False

    def setup(self) -> None:
        super().setup()
        init = _BERT_INIT if self.bert else nn.initializers.lecun_normal()
        if self.bert:
            self.type_embedding = nn.Embed(2, self.dim, embedding_init=init, name="token_type")
            self.pooler = nn.Dense(self.dim, kernel_init=init)
        self.norm = nn.LayerNorm(epsilon=NORM_EPSILON, use_fast_variance=False)
        shape = (self.dim, self.ffn_dim, self.mixing, self.heads, self.activation, self.dropout)
        self.layer = [EncoderLayer(*shape, kernel_init=init) for _ in range(self.layers)]
        self.classifier = nn.Dense(self.num_classes, kernel_init=init)

    def table_init(self) -> nn.initializers.Initializer:
        """Returns BERT's initializer, or that of `TextClassifier`."""
        return _BERT_INIT if self.bert else super().table_init()

    def embed(self, ids: Ids) -> Tokens:
        """Returns the sum of token and position embeddings, for BERT of type embeddings too."""
        x = super().embed(ids)
        return x + self.type_embedding.embedding[0] if self.bert else x

    def encode(self, emb: Tokens, mask: Mask, *, deterministic: bool = True) -> Tokens:
        """Returns the last layer's output for every token."""
        x = drop(self, self.norm(emb), self.dropout, deterministic)
        for layer in self.layer:
            x = layer(x, mask, deterministic=deterministic)
        return x

    def logits_from_embeddings(
        self, emb: Tokens, mask: Mask, *, segment_ids: Ids | None = None, deterministic: bool = True
    ) -> Logits:
        """See `TextClassifier`; `segment_ids` is not used."""
        pooled = pool(self.encode(emb, mask, deterministic=deterministic), mask, self.pooling)
        if self.bert:
            pooled = nn.tanh(self.pooler(pooled))
        if self.mixing == "attention":
            pooled = drop(self, pooled, self.dropout, deterministic)
        return self.classifier(pooled)


def drop_weights(
    weights: Float[Array, "b h q k"], rate: float, key: jax.Array
) -> Float[Array, "b h q k"]:
    """Drops attention weights; a query has a stream of its own, so that padding changes nothing."""
    b, h, queries, keys = weights.shape

    streams = jax.vmap(partial(jax.random.fold_in, key))(jnp.arange(queries))
    kept = jax.vmap(lambda key: jax.random.bernoulli(key, 1 - rate, (keys, b, h)))(streams)
    return jnp.where(jnp.transpose(kept, (2, 3, 0, 1)), weights / (1 - rate), 0)


def fourier_mix(x: Float[Array, "*b n d"], mask: Bool[Array, "*b n"]) -> Float[Array, "*b n d"]:
    """Returns the real part of each text's Fourier transform over tokens and dimensions.

    As `numpy.fft.fft2(text).real` of the kept tokens alone (FNet, arXiv 2105.03824, equation 3):
    over tokens a product with cosines and sines of the text's own length, so that padding and
    dropped words leave no trace. Masked positions come out 0.

    >>> fourier_mix(jnp.ones((3, 2)), jnp.array([True, True, False]))[:, 0]
    Array([4., 0., 0.], dtype=float32)
    """
    across = jnp.fft.fft(x, axis=-1)
    count = jnp.sum(mask, axis=-1, dtype=jnp.int32)
    place = jnp.cumsum(mask, axis=-1, dtype=jnp.int32) - 1
    # Angles are reduced as integers, and so are exact.
    turns = (place[..., :, None] * place[..., None, :]) % count[..., None, None]
    angle = turns.astype(x.dtype) * (2 * math.pi / count[..., None, None].astype(x.dtype))
    both = mask[..., :, None] & mask[..., None, :]
    cosine, sine = (jnp.where(both, part(angle), 0) for part in (jnp.cos, jnp.sin))
    return cosine @ across.real + sine @ across.imag
