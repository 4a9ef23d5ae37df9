"""Gradients in a few numbers: L2 norms as in the papers' figures, and scalars to log."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array

from wave_jax.probe import model_api
from wave_jax.probe.gradients import LayerGradients, magnitude_share, wave_gradients
from wave_jax.probe.model_api import Ids, Labels, Mask, Model, Params


def gradient_norms(
    model: Model, params: Params, ids: Ids, labels: Labels, *, mask: Mask | None = None
) -> dict[str, Array]:
    """Returns L2 norms of the gradient of the mean loss of a batch, without dropout.

    Args: as for `wave_gradients`; any model with `embed` and `logits_from_embeddings` will do.

    Returns:
      'cls': the norm at the embedding output of the first token of all texts; 'input': at that of
      all real tokens, every occurrence on its own; and one entry for each group of parameters,
      named by its path and including everything below: 'embed', 'layer_0', 'layer_0/variants', ...,
      'classifier'. Scalars in float32 or float64.
    """
    real = model_api.real_tokens(ids, mask)
    output = jax.eval_shape(lambda p: model_api.embed(model, p, ids), params)
    shift = jnp.zeros(output.shape, output.dtype)

    def loss(params: Params, shift: Array) -> Array:
        embeddings = model_api.embed(model, params, ids) + shift
        logits = model_api.logits(model, {"params": params}, embeddings, ids, real)
        return _mean_loss(logits, labels)

    d_params, d_embeddings = jax.grad(loss, argnums=(0, 1))(params, shift)
    d_embeddings = jnp.where(real[..., None], d_embeddings, 0)
    norms = {"cls": _norm(d_embeddings[:, 0]), "input": _norm(d_embeddings)}
    return norms | dict(_group_norms(d_params))


def summarize(
    model: Model, params: Params, ids: Ids, labels: Labels, *, mask: Mask | None = None
) -> dict[str, Array]:
    """Returns scalars that summarize the gradients of a batch's mean loss. Usable under jit.

    Args, Raises: as for `wave_gradients`.

    Returns:
      'loss'; 'gradient_norm/<place>' for 'cls', 'input' and each top-level group of parameters, see
      `gradient_norms`; for each layer 'layer_<i>/mean_abs_d_magnitude' and '.../mean_abs_d_phase'
      (over real tokens, dimensions and both variants) and 'layer_<i>/magnitude_share'.
    """
    real = model_api.real_tokens(ids, mask)
    gradients = wave_gradients(model, params, ids, labels, mask=real, scalar=_mean_loss)
    norms = gradient_norms(model, params, ids, labels, mask=real)
    found = {"loss": gradients.loss}
    found |= {f"gradient_norm/{name}": x for name, x in norms.items() if "/" not in name}
    for index, layer in enumerate(gradients.layers):
        found |= {f"layer_{index}/{name}": x for name, x in _layer(layer, real).items()}
    return found


def _mean_loss(logits: Array, labels: Labels) -> Array:
    return jnp.mean(model_api.cross_entropy(logits, labels))


def _group_norms(gradient: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Array]]:
    """Yields (path, norm) of every inner node below the root, parents first."""
    for name, inner in gradient.items():
        if isinstance(inner, Mapping):
            yield prefix + name, _norm(*jax.tree.leaves(inner))
            yield from _group_norms(inner, f"{prefix}{name}/")


def _norm(*arrays: Array) -> Array:
    squares = (jnp.square(x.astype(jnp.promote_types(x.dtype, jnp.float32))) for x in arrays)
    return jnp.sqrt(sum(map(jnp.sum, squares)))


def _layer(layer: LayerGradients, mask: Mask) -> dict[str, Array]:
    def both(name: str) -> list[Array]:
        return [getattr(variant, name) for variant in layer.variants]

    def mean_abs(arrays: list[Array]) -> Array:
        """Over what is not padding; a whole text's magnitude is one row."""
        rows = [jnp.sum(mask) if x.shape[1] == mask.shape[1] else x.shape[0] for x in arrays]
        total = sum(jnp.sum(jnp.abs(x)) for x in arrays)
        return jnp.asarray(total) / (sum(rows) * arrays[0].shape[-1])

    paths = jnp.stack(both("magnitude_path")), jnp.stack(both("phase_path"))
    return {
        "mean_abs_d_magnitude": mean_abs(both("d_magnitude")),
        "mean_abs_d_phase": mean_abs(both("d_phase")),
        "magnitude_share": magnitude_share(*paths),
    }
