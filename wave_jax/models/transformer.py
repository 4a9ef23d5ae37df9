"""Transformer encoders: the papers' single layer, and BERT."""

from __future__ import annotations

import math

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Float

from wave_jax.models.base import Ids, Logits, Mask, TextClassifier
from wave_jax.models.config import Activation, Pooling
from wave_jax.models.tokens import drop, drop_weights, pool
from wave_jax.models.wave_layer import ACTIVATIONS

NORM_EPSILON = 1e-12  # BERT's
_BERT_INIT = nn.initializers.truncated_normal(0.02)


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


class TransformerClassifier(TextClassifier):
    """Token embeddings -> norm -> encoder layers -> pooling -> classifier.

    As BERT (Devlin et al., arXiv 1810.04805) it has learned positions, token types (every text is
    of the first) and a pooler, a dense layer with tanh on [CLS]. The papers' Transformer is one
    layer.

    Attributes: see `ModelConfig`.
      bert: token types, pooler and BERT's initialisation.
    """

    ffn_dim: int
    layers: int
    heads: int
    pooling: Pooling
    activation: Activation
    bert: bool

    def setup(self) -> None:
        super().setup()
        kernels = _BERT_INIT if self.bert else nn.initializers.lecun_normal()
        if self.bert:
            self.type_embedding = nn.Embed(
                2, self.dim, embedding_init=self.table_init(), name="token_type"
            )
            self.pooler = nn.Dense(self.dim, kernel_init=kernels)
        self.norm = nn.LayerNorm(epsilon=NORM_EPSILON, use_fast_variance=False)
        shape = (self.dim, self.ffn_dim, self.heads, self.activation, self.dropout)
        self.layer = [EncoderLayer(*shape, kernel_init=kernels) for _ in range(self.layers)]
        self.classifier = nn.Dense(self.num_classes, kernel_init=kernels)

    def table_init(self) -> nn.initializers.Initializer:
        """Returns how embeddings are drawn."""
        return _BERT_INIT if self.bert else super().table_init()

    def embed(self, ids: Ids) -> Float[Array, "b n d"]:
        """Returns the sum of token, position and type embeddings."""
        x = super().embed(ids)
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
    ) -> Logits:
        """Returns logits from embeddings, as `embed` gives them; `segment_ids` is not used."""
        del segment_ids
        pooled = pool(self.encode(emb, mask, deterministic=deterministic), mask, self.pooling)
        if self.bert:
            pooled = nn.tanh(self.pooler(pooled))
        return self.classifier(drop(self, pooled, self.dropout, deterministic))
