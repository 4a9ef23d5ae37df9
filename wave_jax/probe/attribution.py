"""Attributions that people know, per token: gradient x input, and integrated gradients."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from wave_jax.probe.model_api import Embeddings, Ids, Mask, Params, embed, logits_of, real_tokens
from wave_jax.probe.scalars import Labels, Scalar, cross_entropy

_NODES = 8  # of one panel of Gauss-Legendre quadrature


@partial(jax.tree_util.register_dataclass)
@dataclass(frozen=True)
class IntegratedGradients:
    """Integrated gradients of a batch, with the account of how well they add up.

    Attributes:
      tokens: [b, n], each token's share of value - baseline_value; 0 at padding.
      value, baseline_value: the scalar at the texts and at the baseline, [b] or [].
      gap: |sum of tokens - (value - baseline_value)| / |value - baseline_value|, [b] or []; 0 where
        both are 0, infinite where only the difference is.
      converged: bool, like `gap`: whether the gap is below the tolerance.
      evaluations: int32, points of the path at which the gradient was taken in the last round.
    """

    tokens: Float[Array, "b n"]
    value: Array
    baseline_value: Array
    gap: Array
    converged: Bool[Array, "*b"]
    evaluations: Int[Array, ""]


def unknown_baseline(ids: Ids, unk_id: int, keep: Sequence[int]) -> Ids:
    """Returns the ids with [UNK] everywhere but at the ids in `keep`, such as [CLS] and [SEP].

    >>> unknown_baseline(jnp.array([[2, 17, 25, 3]]), unk_id=1, keep=(2, 3))
    Array([[2, 1, 1, 3]], dtype=int32)
    """
    return jnp.where(jnp.isin(ids, jnp.asarray(tuple(keep), ids.dtype)), ids, unk_id)


def gradient_times_input(
    model: nn.Module,
    params: Params,
    ids: Ids,
    labels: Labels,
    *,
    mask: Mask | None = None,
    scalar: Scalar | None = None,
) -> Float[Array, "b n"]:
    """Returns the gradient at each token's embedding times the embedding, summed over dimensions.

    Args: as for `gradient_norms`; `scalar` values of several examples are added up.
    """
    path = _Path.of(model, params, ids, labels, mask, scalar)
    embeddings = embed(model, params, ids)
    return path.per_token(embeddings * path.gradient(embeddings))


def integrated_gradients(
    model: nn.Module,
    params: Params,
    ids: Ids,
    labels: Labels,
    *,
    baseline_ids: Ids,
    mask: Mask | None = None,
    scalar: Scalar | None = None,
    tolerance: float = 0.01,
    max_evaluations: int = 1024,
) -> IntegratedGradients:
    """Returns what each token contributes to the scalar's change from a baseline to the text.

    The gradient is integrated along the straight line from the baseline's embeddings to the text's
    by Gauss-Legendre quadrature, 8 points a panel; the panels double until the contributions add up
    to the change (completeness) within `tolerance` for every example, or `max_evaluations` are
    reached. `gap` and `converged` say how it ended. Usable under jit.

    Args:
      model, params, ids, labels, mask, scalar: as for `gradient_norms`.
      baseline_ids: int [b, n], the same positions' neutral tokens; see `unknown_baseline`.
      tolerance: the relative gap to come below.
      max_evaluations: most points of the last round, at least 8.

    Reference:
      Sundararajan et al., Axiomatic Attribution for Deep Networks, arXiv 1703.01365.
    """
    path = _Path.of(model, params, ids, labels, mask, scalar)
    end, start = embed(model, params, ids), embed(model, params, baseline_ids)
    value, baseline_value = path.values(end), path.values(start)
    change = value - baseline_value

    def refine(state: _Round) -> _Round:
        panels = 2 * state.panels
        tokens = path.per_token((end - start) * _mean_gradient(path, start, end, panels))
        total = jnp.sum(tokens, axis=1) if change.ndim else jnp.sum(tokens)
        return _Round(panels, tokens, _relative(jnp.abs(total - change), jnp.abs(change)))

    def unfinished(state: _Round) -> Array:
        return (jnp.max(state.gap) >= tolerance) & (2 * state.panels * _NODES <= max_evaluations)

    tokens = jnp.zeros(ids.shape, end.dtype)
    first = refine(_Round(jnp.asarray(0.5), tokens, jnp.full_like(change, jnp.inf)))
    last = jax.lax.while_loop(unfinished, refine, first)
    evaluations = (last.panels * _NODES).astype(jnp.int32)
    return IntegratedGradients(
        last.tokens, value, baseline_value, last.gap, last.gap < tolerance, evaluations
    )


class _Round(NamedTuple):
    panels: Array
    tokens: Float[Array, "b n"]
    gap: Array


@dataclass(frozen=True)
class _Path:
    """The scalar as a function of the embeddings of fixed texts."""

    model: nn.Module
    params: Params
    ids: Ids
    labels: Labels
    mask: Mask
    scalar: Scalar

    @classmethod
    def of(
        cls,
        model: nn.Module,
        params: Params,
        ids: Ids,
        labels: Labels,
        mask: Mask | None,
        scalar: Scalar | None,
    ) -> _Path:
        return cls(model, params, ids, labels, real_tokens(ids, mask), scalar or cross_entropy)

    def values(self, embeddings: Embeddings) -> Array:
        variables = {"params": self.params}
        logits = logits_of(self.model, variables, embeddings, self.ids, self.mask)
        return jnp.asarray(self.scalar(logits, self.labels))

    def gradient(self, embeddings: Embeddings) -> Embeddings:
        return jax.grad(lambda x: jnp.sum(self.values(x)))(embeddings)

    def per_token(self, x: Embeddings) -> Float[Array, "b n"]:
        return jnp.where(self.mask, jnp.sum(x, axis=-1), 0)


def _mean_gradient(path: _Path, start: Embeddings, end: Embeddings, panels: Array) -> Embeddings:
    """Returns the gradient averaged over the line from `start` to `end`."""
    places, shares = np.polynomial.legendre.leggauss(_NODES)  # on [-1, 1]
    nodes, weights = jnp.asarray((places + 1) / 2), jnp.asarray(shares / 2)

    def add(i: Array, total: Embeddings) -> Embeddings:
        place = ((i // _NODES + nodes[i % _NODES]) / panels).astype(start.dtype)
        gradient = path.gradient(start + place * (end - start))
        return total + (weights[i % _NODES] / panels).astype(start.dtype) * gradient

    count = (panels * _NODES).astype(jnp.int32)
    return jax.lax.fori_loop(0, count, add, jnp.zeros_like(start))


def _relative(x: Array, size: Array) -> Array:
    """Returns x / size; 0 where both are 0, infinite where only the size is."""
    quotient = x / jnp.where(size > 0, size, 1)
    return jnp.where(size > 0, quotient, jnp.where(x > 0, jnp.inf, 0))
