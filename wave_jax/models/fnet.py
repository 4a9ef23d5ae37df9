"""FNet: the feed-forward block of a Transformer with Fourier transforms in place of attention."""

from __future__ import annotations

import flax.linen as nn
from jaxtyping import Array, Float

from wave_jax.models.base import Ids, Logits, Mask, TextClassifier
from wave_jax.models.config import Activation, Pooling
from wave_jax.models.tokens import drop, pool
from wave_jax.models.transformer import NORM_EPSILON
from wave_jax.models.wave_layer import ACTIVATIONS
from wave_jax.ops.fourier import fourier_mix


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


class FNetClassifier(TextClassifier):
    """Token embeddings -> norm -> FNet layers -> pooling -> classifier."""

    ffn_dim: int
    layers: int
    pooling: Pooling
    activation: Activation

    def setup(self) -> None:
        super().setup()
        self.norm = nn.LayerNorm(epsilon=NORM_EPSILON, use_fast_variance=False)
        shape = (self.dim, self.ffn_dim, self.activation, self.dropout)
        self.layer = [FNetLayer(*shape) for _ in range(self.layers)]
        self.classifier = nn.Dense(self.num_classes)

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
        x = drop(self, self.norm(emb), self.dropout, deterministic)
        for layer in self.layer:
            x = layer(x, mask, deterministic=deterministic)
        return self.classifier(pool(x, mask, self.pooling))


def _norm(name: str) -> nn.LayerNorm:
    return nn.LayerNorm(epsilon=NORM_EPSILON, use_fast_variance=False, name=name)
