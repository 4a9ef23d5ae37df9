"""A network without waves: tokens pooled dimension by dimension, under the heads that waves have.

What one layer of waves under [CLS] pooling takes from a text are two norms in each dimension, r and
r'. So these are the controls that tell waves from the pooling of norms.
"""

from __future__ import annotations

from typing import Literal

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from wave_jax import ops
from wave_jax.models.base import (
    ACTIVATIONS,
    DistinctTokensClassifier,
    Ids,
    Logits,
    Mask,
    RowIds,
    Rows,
    Tokens,
    check_batch,
    drop,
    pool,
)
from wave_jax.models.config import Activation, Pool

_SMALLEST = 1e-12  # |u| below this counts as this in a power, whose derivative is unbounded at 0


class PoolingClassifier(DistinctTokensClassifier):
    """Token embeddings [n, 2d] -> one pooled value a dimension -> (feed-forward ->) classifier.

    Attributes: see `ModelConfig`; `dim` is d, the table has 2d columns as that of waves with two
    embeddings a token.
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
