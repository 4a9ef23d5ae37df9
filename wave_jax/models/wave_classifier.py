"""The Wave Network as a text classifier."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import chex
import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from wave_jax import ops
from wave_jax.models.base import (
    DistinctTokensClassifier,
    Ids,
    Logits,
    Mask,
    RowIds,
    Rows,
    Tokens,
    check_batch,
    linear_logits,
    linear_logits_by_counts,
    pool,
    sentence_ids,
)
from wave_jax.models.config import Activation, Pooling, Scope
from wave_jax.models.wave_layer import Scopes, Variants, WaveLayer


class WaveClassifier(DistinctTokensClassifier):
    """Token embeddings -> wave layers -> pooling -> classifier ([WN] figure 6).

    Three entry points share one set of parameters. `__call__(ids, mask)` is the reference.
    `logits_from_distinct` and `logits_from_rows` compute the same logits, up to rounding, from a
    batch's distinct ids, each projected once. Attributes: see `ModelConfig`.
    """

    ffn_dim: int
    layers: int
    readouts: tuple[tuple[ops.Superposition, ops.ReadoutKind], ...]
    scopes: tuple[Scope, Scope]
    pooling: Pooling
    activation: Activation
    sentence_end_ids: tuple[int, ...] = ()
    sep_id: int = -1
    variants: Literal["dense", "table"] = "dense"
    head: Literal["ffn", "linear"] = "ffn"
    norms: Literal[1, 2] = 2
    linear_path: bool = False
    gradient: ops.Path = "both"

    def setup(self) -> None:
        super().setup()
        sizes = self.dim, self.ffn_dim, self.readouts, self.activation, self.dropout
        norms = self.norms if self.head == "ffn" else 0
        shape = *sizes, self.variants == "dense", norms, self.gradient
        self.layer = [WaveLayer(*shape) for _ in range(self.layers)]
        self.classifier = nn.Dense(self.num_classes)

    def table_width(self) -> int:
        """Returns the columns of a token's embeddings, and of its weights in the linear path."""
        return self._dims() + self.linear_columns()

    def linear_columns(self) -> int:
        """Returns the number of a token's weights in the linear path, 0 without one."""
        return self.num_classes if self.linear_path else 0

    def table_init(self) -> nn.initializers.Initializer:
        """Returns the initializer of embeddings, with weights of zero in the linear path."""
        own, columns = super().table_init(), self.linear_columns()

        def init(key: Array, shape: tuple[int, int], dtype: DTypeLike = jnp.float32) -> Array:
            return jnp.pad(own(key, (shape[0], shape[1] - columns), dtype), ((0, 0), (0, columns)))

        return init

    def logits_from_embeddings(
        self, emb: Tokens, mask: Mask, *, segment_ids: Ids | None = None, deterministic: bool = True
    ) -> Logits:
        """See `TextClassifier`; computes every token's wave in every layer."""
        chex.assert_rank(emb, 3)
        chex.assert_type(mask, bool)
        chex.assert_shape(mask, emb.shape[:2])
        scopes = self.branch_segments(segment_ids, mask)
        emb, weights = jnp.split(emb, [self._dims()], axis=-1)
        for i, layer in enumerate(self.layer):
            out = layer(emb, mask, scopes, deterministic=deterministic)
            emb = self._connect(i, emb, out, deterministic)
        pooled = pool(emb, mask, self.pooling)
        return self._classify(pooled, linear_logits(weights, mask), deterministic)

    def logits_from_rows(
        self, rows: Rows, distinct: RowIds, inverse: Ids, mask: Mask, *, deterministic: bool = True
    ) -> Logits:
        """See `DistinctTokensClassifier`; under [CLS] pooling the last layer makes one wave a text.

        A single layer then needs no array over texts x tokens x dimensions. With positions that is
        a loop over texts, for CPUs: it would keep other devices waiting.
        """
        check_batch(inverse, mask)
        ids = distinct[inverse]
        kept = self.keep_words(mask, deterministic)
        scopes = self.branch_segments(self.segment_ids(ids, mask), kept)
        rows, weights = jnp.split(rows, [self._dims()], axis=-1)
        linear = linear_logits_by_counts(weights, inverse, kept)
        u, positions = self.layer[0].project(rows), self.positions(inverse.shape[1])
        places = () if positions is None else (self.project_positions(positions),)
        summed = self.pooling == "cls" and self.gradient == "both" and self.layers == 1
        if summed and (positions is None or jax.default_backend() == "cpu"):
            rest = self._norm_of_others(
                lambda others, u, *p: ops.first_token_norm(u, inverse, others, *p),
                *(kept, scopes, u, *places),
            )
            own = sum((place[0] for place in places), u[inverse[:, 0]])
            return self.logits_of_first(own, rest, linear, deterministic=deterministic)
        u, x = sum(places, u[inverse]), rows[inverse]
        if positions is not None:
            x = x + positions
        for i, layer in enumerate(self.layer):
            if i > 0:
                u = layer.project(x)
            if self.pooling == "cls" and i == self.layers - 1:
                u = layer.keep_path(u, kept, scopes)
                rest = self._norm_of_others(
                    lambda others, u: ops.magnitude(u, mask=others)[:, 0], kept, scopes, u
                )
                first = u[:, 0], rest, linear, x[:, 0]
                return self.logits_of_first(*first, deterministic=deterministic)
            out = layer.finish(layer.superpose(u, kept, scopes), deterministic)
            x = self._connect(i, x, out, deterministic)
        return self._classify(pool(x, kept, self.pooling), linear, deterministic)

    def logits_of_first(
        self,
        own: Variants,
        rest: Variants,
        linear: Logits,
        x: Array | None = None,
        *,
        deterministic: bool = True,
    ) -> Logits:
        """Returns the logits under [CLS] pooling: the last layer for the first token alone.

        Args:
          own: [b, 2, d], the variants of each text's first token in the last layer.
          rest: [b, 2, d], r_0 of both variants, see `ops.first_token_norm`.
          linear: [b, c], what the linear path adds; [b, 0] without one.
          x: [b, d], the first token's embeddings before the last of several layers.
        """
        last = self.layers - 1
        out = self.layer[last].finish(self.layer[last].superpose_first(own, rest), deterministic)
        return self._classify(self._connect(last, x, out, deterministic), linear, deterministic)

    def polar(self, ids: Ids, mask: Mask | None = None) -> tuple[Variants, Variants]:
        """Returns the magnitude and the phase of each token's two variants in the first layer.

        [b, 1, 2, d], where a scope is a sentence [b, n, 2, d], and [b, n, 2, d], in radians.
        """
        real = jnp.ones(ids.shape, bool) if mask is None else mask
        u = self.project(jnp.split(self.embed(ids), [self._dims()], axis=-1)[0])
        found = []
        for v, segments in enumerate(self.branch_segments(self.segment_ids(ids, real), real)):
            scope = {"mask": real} if segments is None else {"segment_ids": segments}
            found.append([each(u[..., v, :], **scope) for each in (ops.magnitude, ops.phase)])
        magnitudes, phases = zip(*found, strict=True)
        return jnp.stack(jnp.broadcast_arrays(*magnitudes), axis=2), jnp.stack(phases, axis=2)

    def logits_from_polar(
        self, magnitude: Variants, phase: Variants, ids: Ids, mask: Mask | None = None
    ) -> Logits:
        """Returns the logits of the waves G exp(i alpha) of `polar(ids, mask)`, without dropout.

        The derivatives by magnitude and phase are those that the rest of the network gives; the ids
        are read for the linear path alone. One layer only.
        """
        if self.layers > 1:
            raise ValueError(f"logits_from_polar needs one layer, this network has {self.layers}")
        real = jnp.ones(ids.shape, bool) if mask is None else mask
        weights = jnp.split(self.embed(ids), [self._dims()], axis=-1)[1]
        out = self.layer[0].finish(self.layer[0].superpose_polar(magnitude, phase), True)
        return self._classify(pool(out, real, self.pooling), linear_logits(weights, real), True)

    def project(self, x: Float[Array, "*b d"]) -> Variants:
        """Returns the two variants that the first layer makes of token embeddings."""
        return self.layer[0].project(x)

    def project_positions(self, positions: Float[Array, "n d"]) -> Variants:
        """Returns what positions add to the variants of the first layer, [n, 2, d]."""
        nothing = jnp.zeros_like(positions[:1])
        return self.layer[0].project(positions) - self.layer[0].project(nothing)

    def segment_ids(self, ids: Ids, mask: Mask) -> Ids | None:
        """Returns each token's sentence (0 at padding), or None where no scope is 'sentence'."""
        if "sentence" not in self.scopes:
            return None
        return sentence_ids(ids, mask, self.sentence_end_ids, self.sep_id)

    def branch_segments(self, segment_ids: Ids | None, mask: Mask) -> Scopes:
        """Returns the segments of each variant: None for the whole text, 0 where masked."""
        if "sentence" not in self.scopes:
            return None, None
        if segment_ids is None:
            raise ValueError("scopes of sentences need segment_ids: model.segment_ids(ids, mask)")
        kept = jnp.where(mask, segment_ids, 0)
        first, second = (kept if scope == "sentence" else None for scope in self.scopes)
        return first, second

    def _norm_of_others(
        self, norm: Callable[..., Array], mask: Mask, scopes: Scopes, *u: Variants
    ) -> Variants:
        """Returns r_0 of both variants, `norm(others, *u)`; with equal scopes from one call."""
        segments = list(scopes)
        if self.scopes[0] == self.scopes[1]:
            segments, u = segments[:1], tuple(x.reshape(*x.shape[:-2], 1, -1) for x in u)
        others = [ops.others_of_first(mask, each) for each in segments]
        norms = [norm(kept, *(x[..., v, :] for x in u)) for v, kept in enumerate(others)]
        return jnp.concatenate(norms, axis=-1).reshape(-1, 2, self.dim)

    def _connect(self, i: int, x: Array | None, out: Array, deterministic: bool) -> Array:
        """Returns the output after layer `i`; several layers are residual blocks (eq. 8)."""
        if self.layers == 1:
            return out
        assert x is not None
        return x + (out if i == self.layers - 1 else self.layer[i].drop(out, deterministic))

    def _classify(self, pooled: Float[Array, "b d"], linear: Logits, deterministic: bool) -> Logits:
        # Dropout acts on the pooled text: before a maximum over tokens it would shift its values.
        logits = self.classifier(self.layer[-1].drop(pooled, deterministic))
        return logits + linear if self.linear_path else logits

    def _dims(self) -> int:
        """Returns the dimensions of what the table holds for the waves of a token."""
        return self.dim if self.variants == "dense" else 2 * self.dim
