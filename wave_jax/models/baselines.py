"""The networks that waves are compared with: mean of embeddings, Transformer and BERT, FNet."""

from __future__ import annotations

import math

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from wave_jax import ops
from wave_jax.models.base import (
    ACTIVATIONS,
    DistinctTokensClassifier,
    Ids,
    Logits,
    Mask,
    TextClassifier,
    check_batch,
    drop,
    pool,
)
from wave_jax.models.config import Activation, Pooling

NORM_EPSILON = 1e-12  # BERT's
_BERT_INIT = nn.initializers.truncated_normal(0.02)


class MeanClassifier(DistinctTokensClassifier):
    """Token embeddings -> mean -> classifier, as of Joulin et al., arXiv 1607.01759."""

    def setup(self) -> None:
        super().setup()
        self.classifier = nn.Dense(self.num_classes)

    def logits_from_embeddings(
        self,
        emb: Float[Array, "b n d"],
        mask: Mask,
        *,
        segment_ids: Ids | None = None,
        deterministic: bool = True,
    ) -> Logits:
        """See `TextClassifier`; `segment_ids` is not used."""
        del segment_ids
        return self._classify(pool(emb, mask, "mean"), deterministic)

    def logits_from_rows(
        self,
        rows: Float[Array, "m d"],
        distinct: Int[Array, " m"],
        inverse: Ids,
        mask: Mask,
        *,
        deterministic: bool = True,
    ) -> Logits:
        """See `DistinctTokensClassifier`; the sum is a product with the tokens' counts."""
        del distinct
        check_batch(inverse, mask)
        kept = self.keep_words(mask, deterministic)
        mean = ops.sum_by_counts(rows, inverse, kept) / jnp.sum(kept, axis=1, keepdims=True)
        return self._classify(mean, deterministic)

    def _classify(self, mean: Float[Array, "b d"], deterministic: bool) -> Logits:
        return self.classifier(drop(self, mean, self.dropout, deterministic))


class EncoderLayer(nn.Module):
    """Token mixing and feed-forward, each with a residual connection and a norm after it.

    (Vaswani et al., arXiv 1706.03762, section 3.1.) Padding is mixed into no token.

    Attributes:
      dim: dimensions of an embedding.
      ffn_dim: inner width of the feed-forward.
      activation: non-linearity of the feed-forward.
      dropout: share of the feed-forward's outputs dropped in training.
      kernel_init: of all kernels.
    """

    dim: int
    ffn_dim: int
    activation: Activation
    dropout: float
    kernel_init: nn.initializers.Initializer

    @nn.compact
    def __call__(
        self, x: Float[Array, "b n d"], mask: Mask, *, deterministic: bool = True
    ) -> Float[Array, "b n d"]:
        """Returns the layer's output [b, n, d]."""
        x = self.mix(x, mask, deterministic)
        hidden = ACTIVATIONS[self.activation](self.dense("ffn_in", self.ffn_dim)(x))
        out = drop(self, self.dense("ffn_out", self.dim)(hidden), self.dropout, deterministic)
        return norm("norm_ffn")(x + out)

    def mix(
        self, x: Float[Array, "b n d"], mask: Mask, deterministic: bool
    ) -> Float[Array, "b n d"]:
        """Returns the tokens after mixing, residual connection and norm."""
        raise NotImplementedError

    def dense(self, name: str, width: int) -> nn.Dense:
        """Returns a dense layer of this name."""
        return nn.Dense(width, kernel_init=self.kernel_init, name=name)


class AttentionLayer(EncoderLayer):
    """A Transformer's encoder layer.

    Attributes: those of `EncoderLayer`; `dropout` also of attention weights and outputs.
      heads: attention heads; a divisor of `dim`.
    """

    heads: int

    def mix(
        self, x: Float[Array, "b n d"], mask: Mask, deterministic: bool
    ) -> Float[Array, "b n d"]:
        """Self-attention."""
        head_dim = self.dim // self.heads
        query, key, value = (
            self.dense(name, self.dim)(x).reshape(*x.shape[:2], self.heads, head_dim)
            for name in ("query", "key", "value")
        )
        scores = jnp.einsum("bqhd,bkhd->bhqk", query, key) / math.sqrt(head_dim)
        weights = nn.softmax(jnp.where(mask[:, None, None, :], scores, -jnp.inf), axis=-1)
        if not deterministic and self.dropout > 0:
            weights = drop_weights(weights, self.dropout, self.make_rng("dropout"))
        mixed = jnp.einsum("bhqk,bkhd->bqhd", weights, value).reshape(x.shape)
        attended = self.dense("attention_out", self.dim)(mixed)
        return norm("norm_attention")(x + drop(self, attended, self.dropout, deterministic))


class FourierLayer(EncoderLayer):
    """An FNet's layer (Lee-Thorp et al., arXiv 2105.03824, figure 1)."""

    def mix(
        self, x: Float[Array, "b n d"], mask: Mask, deterministic: bool
    ) -> Float[Array, "b n d"]:
        """Fourier transform, without dropout."""
        del deterministic
        return norm("norm_mixing")(x + fourier_mix(x, mask))


class EncoderClassifier(TextClassifier):
    """Token embeddings -> norm -> encoder layers -> pooling -> classifier."""

    ffn_dim: int
    layers: int
    pooling: Pooling
    activation: Activation

    def setup(self) -> None:
        super().setup()
        self.norm = nn.LayerNorm(epsilon=NORM_EPSILON, use_fast_variance=False)
        self.layer = [self.new_layer() for _ in range(self.layers)]
        self.classifier = nn.Dense(self.num_classes, kernel_init=self.kernel_init())

    def kernel_init(self) -> nn.initializers.Initializer:
        """Returns the initializer of kernels."""
        return nn.initializers.lecun_normal()

    def new_layer(self) -> EncoderLayer:
        """Returns a new encoder layer."""
        raise NotImplementedError

    def encode(
        self, emb: Float[Array, "b n d"], mask: Mask, *, deterministic: bool = True
    ) -> Float[Array, "b n d"]:
        """Returns the last layer's output for every token."""
        x = drop(self, self.norm(emb), self.dropout, deterministic)
        for layer in self.layer:
            x = layer(x, mask, deterministic=deterministic)
        return x

    def logits_from_embeddings(
        self,
        emb: Float[Array, "b n d"],
        mask: Mask,
        *,
        segment_ids: Ids | None = None,
        deterministic: bool = True,
    ) -> Logits:
        """See `TextClassifier`; `segment_ids` is not used."""
        del segment_ids
        x = self.encode(emb, mask, deterministic=deterministic)
        return self.classifier(self.head(pool(x, mask, self.pooling), deterministic))

    def head(self, pooled: Float[Array, "b d"], deterministic: bool) -> Float[Array, "b d"]:
        """Returns the classifier's input."""
        del deterministic
        return pooled


class FNetClassifier(EncoderClassifier):
    """FNet: a Transformer with Fourier transforms in place of attention."""

    def new_layer(self) -> EncoderLayer:
        """Returns a new FNet layer."""
        return FourierLayer(
            self.dim, self.ffn_dim, self.activation, self.dropout, self.kernel_init()
        )


class TransformerClassifier(EncoderClassifier):
    """A Transformer encoder; the papers' has one layer.

    As BERT (Devlin et al., arXiv 1810.04805) it has learned positions, token types (every text is
    of the first) and a pooler, a dense layer with tanh on [CLS].

    Attributes: see `ModelConfig`.
      bert: token types, pooler and BERT's initialisation.
    """

    heads: int
    bert: bool

    def setup(self) -> None:
        super().setup()
        if self.bert:
            self.type_embedding = nn.Embed(
                2, self.dim, embedding_init=self.table_init(), name="token_type"
            )
            self.pooler = nn.Dense(self.dim, kernel_init=self.kernel_init())

    def kernel_init(self) -> nn.initializers.Initializer:
        """Returns the initializer of kernels."""
        return _BERT_INIT if self.bert else super().kernel_init()

    def table_init(self) -> nn.initializers.Initializer:
        """Returns the initializer of embeddings."""
        return _BERT_INIT if self.bert else super().table_init()

    def new_layer(self) -> EncoderLayer:
        """Returns a new Transformer layer."""
        shape = (self.dim, self.ffn_dim, self.activation, self.dropout)
        return AttentionLayer(*shape, self.kernel_init(), self.heads)

    def embed(self, ids: Ids) -> Float[Array, "b n d"]:
        """Returns the sum of token, position and type embeddings."""
        x = super().embed(ids)
        return x + self.type_embedding.embedding[0] if self.bert else x

    def head(self, pooled: Float[Array, "b d"], deterministic: bool) -> Float[Array, "b d"]:
        """Returns the classifier's input: the pooler's output with dropout."""
        if self.bert:
            pooled = nn.tanh(self.pooler(pooled))
        return drop(self, pooled, self.dropout, deterministic)


def norm(name: str) -> nn.LayerNorm:
    """Returns a layer norm as BERT's."""
    return nn.LayerNorm(epsilon=NORM_EPSILON, use_fast_variance=False, name=name)


def drop_weights(
    weights: Float[Array, "b h q k"], rate: float, key: jax.Array
) -> Float[Array, "b h q k"]:
    """Drops attention weights; a query has a stream of its own, so that padding changes nothing."""
    b, h, queries, keys = weights.shape

    def of_query(number: Array) -> Array:
        return jax.random.bernoulli(jax.random.fold_in(key, number), 1 - rate, (keys, b, h))

    kept = jax.vmap(of_query)(jnp.arange(queries))
    return jnp.where(jnp.transpose(kept, (2, 3, 0, 1)), weights / (1 - rate), 0)


def fourier_mix(x: Float[Array, "*b n d"], mask: Bool[Array, "*b n"]) -> Float[Array, "*b n d"]:
    """Returns the real part of each text's Fourier transform over tokens and dimensions.

    `Re(F_n x F_d)`, as `numpy.fft.fft2(text).real` of the n kept tokens alone, in their order
    (FNet, arXiv 2105.03824, equation 3). The tokens' transform is a product with cosines and sines
    of the text's own length, so that padding and dropped words leave no trace: n^2 d operations,
    where a batch of equal lengths would need n log(n) d. Angles are reduced as integers, and so are
    exact.

    Masked positions come out 0.

    >>> fourier_mix(jnp.ones((3, 2)), jnp.array([True, True, False]))[:, 0]
    Array([4., 0., 0.], dtype=float32)
    """
    across = jnp.fft.fft(x, axis=-1)
    count = jnp.sum(mask, axis=-1, dtype=jnp.int32)
    place = jnp.cumsum(mask, axis=-1, dtype=jnp.int32) - 1
    turns = (place[..., :, None] * place[..., None, :]) % count[..., None, None]
    angle = turns.astype(x.dtype) * (2 * math.pi / count[..., None, None].astype(x.dtype))
    both = mask[..., :, None] & mask[..., None, :]
    cosine, sine = (jnp.where(both, part(angle), 0) for part in (jnp.cos, jnp.sin))
    return cosine @ across.real + sine @ across.imag
