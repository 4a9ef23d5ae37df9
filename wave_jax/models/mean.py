"""The floor of all comparisons: the mean of the token embeddings and a linear classifier."""

from __future__ import annotations

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from wave_jax.models.config import table_rows
from wave_jax.models.pooled import sum_by_counts
from wave_jax.models.tokens import drop, keep_words, pool

Ids = Int[Array, "b n"]
Mask = Bool[Array, "b n"]


class MeanClassifier(nn.Module):
    """Token embeddings -> mean -> classifier, as of Joulin et al., arXiv 1607.01759.

    Attributes: see `ModelConfig`.
    """

    vocab_size: int
    num_classes: int
    dim: int
    dropout: float
    word_dropout: float

    def setup(self) -> None:
        scale = nn.initializers.normal(self.dim**-0.5)
        self.token_embedding = nn.Embed(
            table_rows(self.vocab_size), self.dim, embedding_init=scale, name="embed"
        )
        self.classifier = nn.Dense(self.num_classes)

    def __call__(
        self, ids: Ids, mask: Mask | None = None, *, deterministic: bool = True
    ) -> Float[Array, "b c"]:
        """Returns logits [b, c] for token ids [b, n]; without a mask every token is real."""
        real = jnp.ones(ids.shape, bool) if mask is None else mask
        kept = keep_words(self, real, self.word_dropout, deterministic)
        return self.logits_from_embeddings(self.embed(ids), kept, deterministic=deterministic)

    def embed(self, ids: Ids) -> Float[Array, "b n d"]:
        """Returns the token embeddings."""
        return self.token_embedding(ids)

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
        return self._classify(pool(emb, mask, "mean"), deterministic)

    def logits_from_distinct(
        self, distinct: Int[Array, " m"], inverse: Ids, mask: Mask, *, deterministic: bool = True
    ) -> Float[Array, "b c"]:
        """Returns the logits of ids = distinct[inverse]; ids beyond the table are padding."""
        rows = self.token_embedding.embedding.at[distinct].get(mode="clip")
        return self.logits_from_rows(rows, distinct, inverse, mask, deterministic=deterministic)

    def logits_from_rows(
        self,
        rows: Float[Array, "m d"],
        distinct: Int[Array, " m"],
        inverse: Ids,
        mask: Mask,
        *,
        deterministic: bool = True,
    ) -> Float[Array, "b c"]:
        """Returns logits from the distinct ids' embeddings, as a product with their counts."""
        del distinct
        kept = keep_words(self, mask, self.word_dropout, deterministic)
        mean = sum_by_counts(rows, inverse, kept) / jnp.sum(kept, axis=1, keepdims=True)
        return self._classify(mean, deterministic)

    def _classify(self, mean: Float[Array, "b d"], deterministic: bool) -> Float[Array, "b c"]:
        return self.classifier(drop(self, mean, self.dropout, deterministic))
