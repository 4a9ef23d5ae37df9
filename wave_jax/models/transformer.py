"""Transformer encoders: the papers' single layer, and BERT."""

from __future__ import annotations

import math

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from wave_jax.models.config import Activation, Pooling, Position, table_rows
from wave_jax.models.layer import ACTIVATIONS
from wave_jax.models.positions import sinusoids
from wave_jax.models.tokens import drop, drop_weights, keep_words, learned_positions, pool

NORM_EPSILON = 1e-12  # BERT's

Ids = Int[Array, "b n"]
Mask = Bool[Array, "b n"]


class EncoderLayer(nn.Module):
    """Self-attention and feed-forward, each with a residual connection and a norm after it.

    (Vaswani et al., arXiv 1706.03762, section 3.1, with the activation of BERT.) Padding is
    attended to by nobody.

    Attributes:
      dim: dimensions of an embedding; `heads` divides it.
      ffn_dim: inner width of the feed-forward.
      heads: attention heads.
      activation: non-linearity of the feed-forward.
      dropout: share of attention weights and of both parts' outputs dropped in training.
    """

    dim: int
    ffn_dim: int
    heads: int
    activation: Activation
    dropout: float
    kernel_init: nn.initializers.Initializer

    @nn.compact
    def __call__(
        self, x: Float[Array, "b n d"], mask: Mask, *, deterministic: bool = True
    ) -> Float[Array, "b n d"]:
        """Returns the layer's output [b, n, d]."""
        attended = self._attend(x, mask, deterministic)
        x = self._norm("norm_attention")(x + drop(self, attended, self.dropout, deterministic))
        hidden = ACTIVATIONS[self.activation](self._dense("ffn_in", self.ffn_dim)(x))
        out = self._dense("ffn_out", self.dim)(hidden)
        return self._norm("norm_ffn")(x + drop(self, out, self.dropout, deterministic))

    def _attend(
        self, x: Float[Array, "b n d"], mask: Mask, deterministic: bool
    ) -> Float[Array, "b n d"]:
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
        return self._dense("attention_out", self.dim)(mixed)

    def _dense(self, name: str, width: int) -> nn.Dense:
        return nn.Dense(width, kernel_init=self.kernel_init, name=name)

    def _norm(self, name: str) -> nn.LayerNorm:
        return nn.LayerNorm(epsilon=NORM_EPSILON, use_fast_variance=False, name=name)


class TransformerClassifier(nn.Module):
    """Token embeddings -> norm -> encoder layers -> pooling -> classifier.

    As BERT (Devlin et al., arXiv 1810.04805) it has learned positions, token types (every text is
    of the first) and a pooler, a dense layer with tanh on [CLS]. The papers' Transformer is one
    layer.

    `embed` gives the sum of token, position and type embeddings, the seam at which gradients are
    probed; results do not depend on padding, beyond rounding.

    Attributes: see `ModelConfig`; `wave_jax.models.build_model` checks them.
      bert: token types, pooler and BERT's initialisation.
    """

    vocab_size: int
    num_classes: int
    max_length: int
    dim: int
    ffn_dim: int
    layers: int
    heads: int
    pooling: Pooling
    position: Position
    activation: Activation
    dropout: float
    word_dropout: float
    bert: bool

    def setup(self) -> None:
        narrow = nn.initializers.truncated_normal(0.02)
        scale = narrow if self.bert else nn.initializers.normal(self.dim**-0.5)
        kernels = narrow if self.bert else nn.initializers.lecun_normal()
        self.token_embedding = nn.Embed(
            table_rows(self.vocab_size), self.dim, embedding_init=scale, name="embed"
        )
        if self.position == "learned":
            self.position_embedding = nn.Embed(
                self.max_length, self.dim, embedding_init=scale, name="position"
            )
        if self.bert:
            self.type_embedding = nn.Embed(2, self.dim, embedding_init=scale, name="token_type")
            self.pooler = nn.Dense(self.dim, kernel_init=kernels)
        self.norm = nn.LayerNorm(epsilon=NORM_EPSILON, use_fast_variance=False)
        shape = (self.dim, self.ffn_dim, self.heads, self.activation, self.dropout)
        self.layer = [EncoderLayer(*shape, kernel_init=kernels) for _ in range(self.layers)]
        self.classifier = nn.Dense(self.num_classes, kernel_init=kernels)

    def __call__(
        self, ids: Ids, mask: Mask | None = None, *, deterministic: bool = True
    ) -> Float[Array, "b c"]:
        """Returns logits [b, c] for token ids [b, n]; without a mask every token is real."""
        real = jnp.ones(ids.shape, bool) if mask is None else mask
        kept = keep_words(self, real, self.word_dropout, deterministic)
        return self.logits_from_embeddings(self.embed(ids), kept, deterministic=deterministic)

    def embed(self, ids: Ids) -> Float[Array, "b n d"]:
        """Returns the sum of token, position and type embeddings."""
        x = self.token_embedding(ids)
        if self.position == "learned":
            x = x + learned_positions(self.position_embedding, ids.shape[1])
        elif self.position == "sinusoidal":
            x = x + sinusoids(ids.shape[1], self.dim)
        return x + self.type_embedding.embedding[0] if self.bert else x

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
    ) -> Float[Array, "b c"]:
        """Returns logits from embeddings, as `embed` gives them; `segment_ids` is not used."""
        del segment_ids
        pooled = pool(self.encode(emb, mask, deterministic=deterministic), mask, self.pooling)
        if self.bert:
            pooled = nn.tanh(self.pooler(pooled))
        return self.classifier(drop(self, pooled, self.dropout, deterministic))
