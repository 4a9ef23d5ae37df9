"""L2 norms of the gradient at the places that the papers' figures look at."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array

from wave_jax.probe.model_api import Ids, Mask, Params, embed, logits_of, real_tokens
from wave_jax.probe.scalars import Labels, Scalar, cross_entropy


def gradient_norms(
    model: nn.Module,
    params: Params,
    ids: Ids,
    labels: Labels,
    *,
    mask: Mask | None = None,
    scalar: Scalar | None = None,
) -> dict[str, Array]:
    """Returns L2 norms of the gradient of the mean loss of a batch.

    For any Linen module with the seam `embed`, `logits_from_embeddings`; it runs without dropout.

    Args:
      model, params: the module and `variables['params']`.
      ids: token ids, int [b, n]; the first of a text is [CLS].
      labels: int [b].
      mask: bool [b, n], True at real tokens; all are by default.
      scalar: (logits, labels) -> [b] or [], instead of the cross-entropy.

    Returns:
      'cls': the norm at the embedding output of the first token of all texts; 'input': at that of
      all real tokens, every occurrence counted apart; and one entry for each group of parameters,
      named by its path with all that is below it: 'embed', 'layer_0', 'layer_0/variants', ...,
      'classifier'. Scalars in float32 or float64.

    Raises:
      UserError: the model lacks the seam.
    """
    real, scalar = real_tokens(ids, mask), scalar or cross_entropy
    output = jax.eval_shape(lambda p: embed(model, p, ids), params)
    shift = jnp.zeros(output.shape, output.dtype)

    def loss(params: Params, shift: Array) -> Array:
        embeddings = embed(model, params, ids) + shift
        return jnp.mean(scalar(logits_of(model, {"params": params}, embeddings, ids, real), labels))

    d_params, d_embeddings = jax.grad(loss, argnums=(0, 1))(params, shift)
    d_embeddings = jnp.where(real[..., None], d_embeddings, 0)
    norms = {"cls": _root(_squares(d_embeddings[:, 0])), "input": _root(_squares(d_embeddings))}
    return norms | {name: _root(squares) for name, squares in _groups(d_params)}


def _groups(gradient: Mapping[str, Any], prefix: str = "") -> list[tuple[str, Array]]:
    """Returns (path, sum of squares) of every inner node below the root, parents first."""
    found = []
    for name, inner in gradient.items():
        if isinstance(inner, Mapping):
            squares = sum(_squares(leaf) for leaf in jax.tree.leaves(inner))
            found.append((prefix + name, jnp.asarray(squares)))
            found += _groups(inner, f"{prefix}{name}/")
    return found


def _squares(x: Array) -> Array:
    return jnp.sum(jnp.square(x.astype(jnp.promote_types(x.dtype, jnp.float32))))


def _root(squares: Array) -> Array:
    return jnp.sqrt(squares)
