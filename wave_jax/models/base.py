"""What all networks share: the table of token embeddings, positions, and the seam after them."""

from __future__ import annotations

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from wave_jax.models.config import Position, table_rows
from wave_jax.models.positions import sinusoids
from wave_jax.models.tokens import keep_words, learned_positions

Ids = Int[Array, "b n"]
Mask = Bool[Array, "b n"]
Logits = Float[Array, "b c"]


class TextClassifier(nn.Module):
    """Token ids -> embeddings -> logits.

    `embed`, then `logits_from_embeddings`: between the two gradients are probed. In training
    (`deterministic=False`) the streams 'dropout' and 'word_dropout' are drawn from. Results do not
    depend on padding, beyond rounding.

    Attributes: see `ModelConfig`; `wave_jax.models.build_model` checks them.
    """

    vocab_size: int
    num_classes: int
    max_length: int
    dim: int
    position: Position
    dropout: float
    word_dropout: float

    def setup(self) -> None:
        scale = self.table_init()
        self.token_embedding = nn.Embed(
            table_rows(self.vocab_size), self.dim, embedding_init=scale, name="embed"
        )
        if self.position == "learned":
            self.position_embedding = nn.Embed(
                self.max_length, self.dim, embedding_init=scale, name="position"
            )

    def table_init(self) -> nn.initializers.Initializer:
        """Returns how embeddings are drawn: by default a token's has a length of about 1."""
        return nn.initializers.normal(self.dim**-0.5)

    def __call__(self, ids: Ids, mask: Mask | None = None, *, deterministic: bool = True) -> Logits:
        """Returns logits [b, c] for token ids [b, n]; without a mask every token is real."""
        real = jnp.ones(ids.shape, bool) if mask is None else mask
        kept = self.keep_words(real, deterministic)
        return self.logits_from_embeddings(
            self.embed(ids),
            kept,
            segment_ids=self.segment_ids(ids, real),
            deterministic=deterministic,
        )

    def embed(self, ids: Ids) -> Float[Array, "b n d"]:
        """Returns the token embeddings, positions included."""
        x = self.token_embedding(ids)
        positions = self.positions(ids.shape[1])
        return x if positions is None else x + positions

    def segment_ids(self, ids: Ids, mask: Mask) -> Ids | None:
        """Returns each token's sentence (0 at padding), or None where sentences do not matter."""
        del ids, mask
        return None

    def logits_from_embeddings(
        self,
        emb: Float[Array, "b n d"],
        mask: Mask,
        *,
        segment_ids: Ids | None = None,
        deterministic: bool = True,
    ) -> Logits:
        """Returns logits from token embeddings.

        Args:
          emb: token embeddings [b, n, d], as `embed` gives them.
          mask: bool [b, n], True at real tokens.
          segment_ids: sentences, as `segment_ids(ids, mask)` gives them.
          deterministic: False in training, for dropout.
        """
        raise NotImplementedError

    def positions(self, length: int) -> Float[Array, "n d"] | None:
        """Returns what is added to the first `length` tokens, or None where nothing is."""
        if self.position == "none":
            return None
        if self.position == "sinusoidal":
            return sinusoids(length, self.dim)
        return learned_positions(self.position_embedding, length)

    def keep_words(self, mask: Mask, deterministic: bool) -> Mask:
        """Returns the mask without the words that training drops."""
        return keep_words(self, mask, self.word_dropout, deterministic)
