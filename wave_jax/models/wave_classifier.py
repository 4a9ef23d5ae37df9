"""The Wave Network as a text classifier."""

from __future__ import annotations

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from wave_jax.models.base import Ids, Logits, Mask, TextClassifier
from wave_jax.models.config import Activation, Pooling, Scope
from wave_jax.models.pooled import others_of_first, rest_norm, rest_norm_by_counts
from wave_jax.models.sentences import sentence_ids
from wave_jax.models.tokens import pool
from wave_jax.models.wave_layer import Scopes, WaveLayer
from wave_jax.ops.superposition import ReadoutKind, Superposition


class WaveClassifier(TextClassifier):
    """Token embeddings -> wave layers -> pooling -> classifier ([WN] figure 6).

    Three entry points share one set of parameters. `__call__(ids, mask)` is the reference:
    `embed`, then `logits_from_embeddings`. `logits_from_distinct` and `logits_from_rows` compute
    the same logits, up to rounding, from a batch's distinct ids, each projected once.

    Attributes: see `ModelConfig`; `wave_jax.models.build_model` checks them.
    """

    ffn_dim: int
    layers: int
    readouts: tuple[tuple[Superposition, ReadoutKind], ...]
    scopes: tuple[Scope, Scope]
    pooling: Pooling
    activation: Activation
    sentence_end_ids: tuple[int, ...] = ()
    sep_id: int = -1

    def setup(self) -> None:
        super().setup()
        self.layer = [
            WaveLayer(self.dim, self.ffn_dim, self.readouts, self.activation, self.dropout)
            for _ in range(self.layers)
        ]
        self.classifier = nn.Dense(self.num_classes)

    def logits_from_embeddings(
        self,
        emb: Float[Array, "b n d"],
        mask: Mask,
        *,
        segment_ids: Ids | None = None,
        deterministic: bool = True,
    ) -> Logits:
        """Returns logits from token embeddings, computing every token's wave in every layer.

        Args:
          emb: token embeddings [b, n, d], as `embed` gives them.
          mask: bool [b, n], True at real tokens.
          segment_ids: sentences, as `segment_ids(ids, mask)` gives them; needed, and used, only
            where a scope is 'sentence'.
          deterministic: False in training, for dropout.
        """
        scopes = self._branch_segments(segment_ids, mask)
        for i, layer in enumerate(self.layer):
            out = layer(emb, mask, scopes, deterministic=deterministic)
            emb = self._connect(i, emb, out, deterministic)
        return self._answer(pool(emb, mask, self.pooling), deterministic)

    def logits_from_distinct(
        self,
        distinct: Int[Array, " m"],
        inverse: Ids,
        mask: Mask,
        *,
        deterministic: bool = True,
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
        """Returns logits from the distinct ids' embeddings, so that gradients arrive as rows.

        Every distinct row is projected once (first layer); under [CLS] pooling the last layer makes
        one wave a text. The parameter 'embed' is not used.
        """
        ids = distinct[inverse]
        kept = self.keep_words(mask, deterministic)
        scopes = self._branch_segments(self.segment_ids(ids, mask), kept)
        projected = self.layer[0].project(rows)
        if self.pooling == "cls" and self.layers == 1 and self.position == "none":
            rest = self._rest_by_counts(projected, inverse, kept, scopes)
            return self._logits_from_first(projected[inverse[:, 0]], rest, deterministic)
        u, x = projected[inverse], rows[inverse]
        positions = self.positions(inverse.shape[1])
        if positions is not None:
            x = x + positions
            bias = self.layer[0].project(jnp.zeros_like(positions[:1]))
            u = u + (self.layer[0].project(positions) - bias)
        return self._logits_from_variants(u, x, kept, scopes, deterministic)

    def project(self, x: Float[Array, "*b d"]) -> Float[Array, "*b 2 d"]:
        """Returns the two variants that the first layer makes of token embeddings."""
        return self.layer[0].project(x)

    def logits_of_first(self, own: Float[Array, "b 2 d"], rest: Float[Array, "b 2 d"]) -> Logits:
        """Returns the logits of one layer under [CLS] pooling, from [CLS]'s variants and their r.

        The two are all that such a network takes from a text.
        """
        return self._logits_from_first(own, rest, deterministic=True)

    def segment_ids(self, ids: Ids, mask: Mask) -> Ids | None:
        """Returns each token's sentence (0 at padding), or None where no scope is 'sentence'."""
        if "sentence" not in self.scopes:
            return None
        return sentence_ids(ids, mask, self.sentence_end_ids, self.sep_id)

    def _logits_from_variants(
        self,
        u: Float[Array, "b n 2 d"],
        x: Float[Array, "b n d"],
        mask: Mask,
        scopes: Scopes,
        deterministic: bool,
    ) -> Logits:
        """Goes on from embeddings `x` and their variants `u` in the first layer."""
        for i, layer in enumerate(self.layer):
            if i > 0:
                u = layer.project(x)
            if self.pooling == "cls" and i == self.layers - 1:
                others = [others_of_first(mask, segments) for segments in scopes]
                rest = [rest_norm(u[:, :, v], others[v]) for v in range(2)]
                return self._logits_from_first(
                    u[:, 0], jnp.stack(rest, axis=1), deterministic, x[:, 0]
                )
            out = layer.finish(layer.superpose(u, mask, scopes), deterministic)
            x = self._connect(i, x, out, deterministic)
        return self._answer(pool(x, mask, self.pooling), deterministic)

    def _logits_from_first(
        self,
        own: Float[Array, "b 2 d"],
        rest: Float[Array, "b 2 d"],
        deterministic: bool,
        x: Float[Array, "b d"] | None = None,
    ) -> Logits:
        """Finishes the last layer for [CLS] alone, from its variants and their r."""
        last = self.layers - 1
        out = self.layer[last].finish(self.layer[last].superpose_first(own, rest), deterministic)
        if x is not None:
            out = self._connect(last, x, out, deterministic)
        return self._answer(out, deterministic)

    def _connect(self, i: int, x: Array, out: Array, deterministic: bool) -> Array:
        """Returns what follows layer `i`; several layers are residual blocks (eq. 8)."""
        if self.layers == 1:
            return out
        return x + (out if i == self.layers - 1 else self.layer[i].drop(out, deterministic))

    def _answer(self, pooled: Float[Array, "b d"], deterministic: bool) -> Logits:
        """Returns the logits. Dropout acts on the pooled text: dropping tokens' activations before
        a maximum is taken over them would show the classifier other values than it meets later."""
        return self.classifier(self.layer[-1].drop(pooled, deterministic))

    def _rest_by_counts(
        self, projected: Float[Array, "m 2 d"], inverse: Ids, mask: Mask, scopes: Scopes
    ) -> Float[Array, "b 2 d"]:
        """Returns r_0 of both variants; with equal scopes from one product."""
        if self.scopes[0] == self.scopes[1]:
            both = projected.reshape(projected.shape[0], -1)
            rest = rest_norm_by_counts(both, inverse, others_of_first(mask, scopes[0]))
            return rest.reshape(-1, 2, self.dim)
        parts = [
            rest_norm_by_counts(projected[:, v], inverse, others_of_first(mask, scopes[v]))
            for v in range(2)
        ]
        return jnp.stack(parts, axis=1)

    def _branch_segments(self, segment_ids: Ids | None, mask: Mask) -> Scopes:
        """Returns the segments of each variant: None for the whole text, 0 where masked."""
        if "sentence" not in self.scopes:
            return None, None
        if segment_ids is None:
            raise ValueError(
                f"scopes {self.scopes} need segment_ids: pass model.segment_ids(ids, mask)"
            )
        kept = jnp.where(mask, segment_ids, 0)
        first, second = (kept if scope == "sentence" else None for scope in self.scopes)
        return first, second
