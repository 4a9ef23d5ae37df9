"""FNet: the feed-forward block of a Transformer with Fourier transforms in place of attention."""

from __future__ import annotations

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from wave_jax.models.config import Activation, Pooling, Position, table_rows
from wave_jax.models.layer import ACTIVATIONS
from wave_jax.models.positions import sinusoids
from wave_jax.models.tokens import drop, keep_words, learned_positions, pool
from wave_jax.models.transformer import NORM_EPSILON
from wave_jax.ops.fourier import fourier_mix

Ids = Int[Array, "b n"]
Mask = Bool[Array, "b n"]


class FNetLayer(nn.Module):
    """Fourier mixing and feed-forward, each with a residual connection and a norm after it.

    (Lee-Thorp et al., arXiv 2105.03824, figure 1.)

    Attributes: as of `EncoderLayer`, without heads.
    """

    dim: int
    ffn_dim: int
    activation: Activation
    dropout: float

    @nn.compact
    def __call__(
        self, x: Float[Array, "b n d"], mask: Mask, *, deterministic: bool = True
    ) -> Float[Array, "b n d"]:
        """Returns the layer's output [b, n, d]."""
        x = _norm("norm_mixing")(x + fourier_mix(x, mask))
        hidden = ACTIVATIONS[self.activation](nn.Dense(self.ffn_dim, name="ffn_in")(x))
        out = drop(self, nn.Dense(self.dim, name="ffn_out")(hidden), self.dropout, deterministic)
        return _norm("norm_ffn")(x + out)


class FNetClassifier(nn.Module):
    """Token embeddings -> norm -> FNet layers -> pooling -> classifier.

    Results do not depend on padding, beyond rounding.

    Attributes: see `ModelConfig`; `wave_jax.models.build_model` checks them.
    """

    vocab_size: int
    num_classes: int
    max_length: int
    dim: int
    ffn_dim: int
    layers: int
    pooling: Pooling
    position: Position
    activation: Activation
    dropout: float
    word_dropout: float

    def setup(self) -> None:
        scale = nn.initializers.normal(self.dim**-0.5)
        self.token_embedding = nn.Embed(
            table_rows(self.vocab_size), self.dim, embedding_init=scale, name="embed"
        )
        if self.position == "learned":
            self.position_embedding = nn.Embed(
                self.max_length, self.dim, embedding_init=scale, name="position"
            )
        self.norm = nn.LayerNorm(epsilon=NORM_EPSILON, use_fast_variance=False)
        shape = (self.dim, self.ffn_dim, self.activation, self.dropout)
        self.layer = [FNetLayer(*shape) for _ in range(self.layers)]
        self.classifier = nn.Dense(self.num_classes)

    def __call__(
        self, ids: Ids, mask: Mask | None = None, *, deterministic: bool = True
    ) -> Float[Array, "b c"]:
        """Returns logits [b, c] for token ids [b, n]; without a mask every token is real."""
        real = jnp.ones(ids.shape, bool) if mask is None else mask
        kept = keep_words(self, real, self.word_dropout, deterministic)
        return self.logits_from_embeddings(self.embed(ids), kept, deterministic=deterministic)

    def embed(self, ids: Ids) -> Float[Array, "b n d"]:
        """Returns the token embeddings, positions included."""
        x = self.token_embedding(ids)
        if self.position == "learned":
            return x + learned_positions(self.position_embedding, ids.shape[1])
        return x + sinusoids(ids.shape[1], self.dim) if self.position == "sinusoidal" else x

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
        x = drop(self, self.norm(emb), self.dropout, deterministic)
        for layer in self.layer:
            x = layer(x, mask, deterministic=deterministic)
        return self.classifier(pool(x, mask, self.pooling))


def _norm(name: str) -> nn.LayerNorm:
    return nn.LayerNorm(epsilon=NORM_EPSILON, use_fast_variance=False, name=name)
