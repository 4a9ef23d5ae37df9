"""Everything the probe knows about a batch, computed together."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TypeAlias

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from wave_jax.ops.superposition import Superposition
from wave_jax.probe.attribution import IntegratedGradients, integrated_gradients
from wave_jax.probe.coupling import coupling
from wave_jax.probe.gradients import LayerGradients, WaveGradients, wave_gradients
from wave_jax.probe.model_api import Ids, Mask, Params, embed, real_tokens, variant_scopes
from wave_jax.probe.scalars import Labels, Scalar, cross_entropy

Couplings: TypeAlias = dict[str, tuple[Float[Array, "b n n"], Float[Array, "b n n"]]]
_OPERATIONS: tuple[Superposition, ...] = ("interference", "modulation")


@partial(jax.tree_util.register_dataclass)
@dataclass(frozen=True)
class ProbeResult:
    """All gradients of a batch's scalar, attributions, and the coupling of its tokens.

    Attributes:
      gradients: of the sum of the examples' scalars.
      gradient_times_input: [b, n].
      integrated: integrated gradients.
      couplings: for each layer, {operation: (real, imag)}, [b, n, n] each, as of `coupling`.
    """

    gradients: WaveGradients
    gradient_times_input: Float[Array, "b n"]
    integrated: IntegratedGradients
    couplings: tuple[Couplings, ...]


def probe_batch(
    model: nn.Module,
    params: Params,
    ids: Ids,
    labels: Labels,
    *,
    baseline_ids: Ids,
    mask: Mask | None = None,
    scalar: Scalar = cross_entropy,
) -> ProbeResult:
    """Returns everything that the probe's command and page show. Usable under jit.

    Args: as for `wave_gradients`, and `baseline_ids` as for `integrated_gradients`.

    Raises:
      UserError: the model has no waves.
    """
    real = real_tokens(ids, mask)
    gradients = wave_gradients(model, params, ids, labels, mask=real, scalar=scalar)
    return ProbeResult(
        gradients,
        jnp.sum(gradients.embedding * embed(model, params, ids), axis=-1),
        integrated_gradients(
            model, params, ids, labels, baseline_ids=baseline_ids, mask=real, scalar=scalar
        ),
        tuple(_couplings(layer, model, ids, real) for layer in gradients.layers),
    )


def _couplings(layer: LayerGradients, model: nn.Module, ids: Ids, mask: Mask) -> Couplings:
    first, second = layer.variants
    scopes = variant_scopes(model, ids, mask)
    segments = tuple(scope.get("segment_ids") for scope in scopes)
    whole = segments == (None, None)
    scope = {"mask": mask} if whole else {"segment_ids": segments}
    return {
        op: coupling(first.tokens, second.tokens, op, **scope)
        for op in _OPERATIONS
        if op in layer.superposed
    }
