"""Attributions per token: gradient x input, and integrated gradients (arXiv 1703.01365)."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct
from jaxtyping import Array, Bool, Float, Int

from wave_jax.ops.norms import ratio
from wave_jax.probe import model_api
from wave_jax.probe.model_api import Ids, Labels, Mask, Model, Params, Scalar, Tokens

_Gradient = Callable[[Tokens], Tokens]
_Round = tuple[Array, Array, Array]  # panels, tokens, gap
_NODES = 8  # of each panel of Gauss-Legendre quadrature


@struct.dataclass
class IntegratedGradients:
    """Integrated gradients of a batch, and how far from complete they are.

    Attributes:
      tokens: [b, n], each token's share of value - baseline_value; 0 at padding.
      value, baseline_value: the scalar at the texts and at the baseline, [b] or [].
      gap: |sum of tokens - (value - baseline_value)| / |value - baseline_value|, [b] or []; 0 where
        both are 0, infinite where only the denominator is.
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
    """Returns `ids` with [UNK] for all but the ids in `keep`, such as [CLS] and [SEP].

    >>> unknown_baseline(jnp.array([[2, 17, 25, 3]]), unk_id=1, keep=(2, 3))
    Array([[2, 1, 1, 3]], dtype=int32)
    """
    return jnp.where(jnp.isin(ids, jnp.asarray(tuple(keep), ids.dtype)), ids, unk_id)


def gradient_times_input(
    model: Model,
    params: Params,
    ids: Ids,
    labels: Labels,
    *,
    mask: Mask | None = None,
    scalar: Scalar | None = None,
) -> Float[Array, "b n"]:
    """Returns the gradient at each token's embedding times the embedding, summed over dimensions.

    Args: as for `wave_gradients`; any model with `embed` and `logits_from_embeddings` will do.
    """
    mask = model_api.real_tokens(ids, mask)
    _, gradient = _scalar(model, params, ids, labels, mask, scalar)
    embeddings = model_api.embed(model, params, ids)
    return jnp.where(mask, jnp.sum(embeddings * gradient(embeddings), axis=-1), 0)


def integrated_gradients(
    model: Model,
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
    by Gauss-Legendre quadrature, 8 points per panel. The number of panels doubles until, for every
    example, the contributions sum to the change (completeness) within `tolerance`, or
    `max_evaluations` is reached; see `gap` and `converged`. Usable under jit.

    Args: as for `gradient_times_input`, and
      baseline_ids: int [b, n], neutral tokens at the same positions; see `unknown_baseline`.
      tolerance, max_evaluations: the relative gap to reach, and most points of a round (8 or more).
    """
    real = model_api.real_tokens(ids, mask)
    values, gradient = _scalar(model, params, ids, labels, real, scalar)
    end, start = model_api.embed(model, params, ids), model_api.embed(model, params, baseline_ids)
    value, baseline_value = values(end), values(start)
    change = value - baseline_value

    def integrate(panels: Array) -> _Round:
        terms = (end - start) * _mean_gradient(gradient, start, end, panels)
        tokens = jnp.where(real, jnp.sum(terms, axis=-1), 0)
        total = jnp.sum(tokens, axis=1) if change.ndim else jnp.sum(tokens)
        error, size = jnp.abs(total - change), jnp.abs(change)
        return panels, tokens, jnp.where((size > 0) | (error == 0), ratio(error, size), jnp.inf)

    def unfinished(last: _Round) -> Array:
        panels, _, gap = last
        return (jnp.max(gap) >= tolerance) & (2 * panels * _NODES <= max_evaluations)

    panels, tokens, gap = jax.lax.while_loop(
        unfinished, lambda last: integrate(2 * last[0]), integrate(jnp.asarray(1, jnp.int32))
    )
    return IntegratedGradients(tokens, value, baseline_value, gap, gap < tolerance, panels * _NODES)


def _scalar(
    model: Model, params: Params, ids: Ids, labels: Labels, mask: Mask, scalar: Scalar | None
) -> tuple[Callable[[Tokens], Array], _Gradient]:
    """Returns the scalar as a function of the embeddings, and its gradient."""

    def values(embeddings: Tokens) -> Array:
        logits = model_api.logits(model, {"params": params}, embeddings, ids, mask)
        return jnp.asarray((scalar or model_api.cross_entropy)(logits, labels))

    return values, jax.grad(lambda embeddings: jnp.sum(values(embeddings)))


def _mean_gradient(gradient: _Gradient, start: Tokens, end: Tokens, panels: Array) -> Tokens:
    x, w = np.polynomial.legendre.leggauss(_NODES)  # on [-1, 1]
    nodes, weights = jnp.asarray((x + 1) / 2), jnp.asarray(w / 2)

    def add(i: Array, total: Tokens) -> Tokens:
        at = ((i // _NODES + nodes[i % _NODES]) / panels).astype(start.dtype)
        weight = (weights[i % _NODES] / panels).astype(start.dtype)
        return total + weight * gradient(start + at * (end - start))

    return jax.lax.fori_loop(0, panels * _NODES, add, jnp.zeros_like(start))
