"""The floor of all comparisons: the mean of the token embeddings and a linear classifier."""

from __future__ import annotations

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from wave_jax.models.base import Ids, Logits, Mask, TextClassifier
from wave_jax.models.pooled import sum_by_counts
from wave_jax.models.tokens import drop, pool


class MeanClassifier(TextClassifier):
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
        """Returns logits from embeddings, as `embed` gives them; `segment_ids` is not used."""
        del segment_ids
        return self._classify(pool(emb, mask, "mean"), deterministic)

    def logits_from_distinct(
        self, distinct: Int[Array, " m"], inverse: Ids, mask: Mask, *, deterministic: bool = True
    ) -> Logits:
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
    ) -> Logits:
        """Returns logits from the distinct ids' embeddings, as a product with their counts."""
        del distinct
        kept = self.keep_words(mask, deterministic)
        mean = sum_by_counts(rows, inverse, kept) / jnp.sum(kept, axis=1, keepdims=True)
        return self._classify(mean, deterministic)

    def _classify(self, mean: Float[Array, "b d"], deterministic: bool) -> Logits:
        return self.classifier(drop(self, mean, self.dropout, deterministic))
