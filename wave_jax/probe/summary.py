"""The probe of a batch in a few numbers, to be watched while a network learns."""

from __future__ import annotations

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array

from wave_jax.probe.gradients import LayerGradients, magnitude_share, wave_gradients
from wave_jax.probe.model_api import Ids, Mask, Params, real_tokens
from wave_jax.probe.norms import gradient_norms
from wave_jax.probe.scalars import Labels, Logits, cross_entropy


def summarize(
    model: nn.Module, params: Params, ids: Ids, labels: Labels, *, mask: Mask | None = None
) -> dict[str, Array]:
    """Returns scalars of the gradients of a batch's mean loss. Usable under jit.

    Args: as for `gradient_norms`.

    Returns:
      'loss'; 'gradient_norm/<place>' for 'cls', 'input', and each part of the network, as
      `gradient_norms` defines them; and for each layer 'layer_<i>/mean_abs_d_magnitude',
      'layer_<i>/mean_abs_d_phase' (over real tokens, dimensions and both variants) and
      'layer_<i>/magnitude_share'.

    Raises:
      UserError: the model has no waves.
    """
    real = real_tokens(ids, mask)
    gradients = wave_gradients(model, params, ids, labels, mask=real, scalar=_mean_loss)
    norms = gradient_norms(model, params, ids, labels, mask=real)
    found = {"loss": gradients.loss}
    found |= {f"gradient_norm/{name}": x for name, x in norms.items() if "/" not in name}
    for index, layer in enumerate(gradients.layers):
        found |= {f"layer_{index}/{name}": x for name, x in _layer(layer, real).items()}
    return found


def _mean_loss(logits: Logits, labels: Labels) -> Array:
    return jnp.mean(cross_entropy(logits, labels))


def _layer(layer: LayerGradients, mask: Mask) -> dict[str, Array]:
    def mean_size(arrays: list[Array]) -> Array:
        """Padding is 0 and does not count; a whole text's G counts once."""
        rows = [jnp.sum(mask) if x.shape[1] == mask.shape[1] else x.shape[0] for x in arrays]
        counts = [count * x.shape[-1] for count, x in zip(rows, arrays, strict=True)]
        return jnp.sum(jnp.stack([jnp.sum(jnp.abs(x)) for x in arrays])) / sum(counts)

    both = layer.variants
    magnitude = jnp.stack([variant.magnitude_path for variant in both])
    phase = jnp.stack([variant.phase_path for variant in both])
    return {
        "mean_abs_d_magnitude": mean_size([variant.d_magnitude for variant in both]),
        "mean_abs_d_phase": mean_size([variant.d_phase for variant in both]),
        "magnitude_share": magnitude_share(magnitude, phase),
    }
