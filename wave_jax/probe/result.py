"""All that the probe computes, for a batch or for one text."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import jax.numpy as jnp
import numpy as np
from flax import struct
from jaxtyping import Array, Float

from wave_jax.probe import model_api
from wave_jax.probe.attribution import IntegratedGradients, integrated_gradients
from wave_jax.probe.gradients import LayerGradients, WaveGradients, couplings, wave_gradients
from wave_jax.probe.model_api import Ids, Labels, Mask, Model, Params, Scalar
from wave_jax.probe.paths import magnitude_share

Couplings: TypeAlias = dict[str, tuple[Float[Array, "b n n"], Float[Array, "b n n"]]]
Of: TypeAlias = Literal["loss", "logit", "margin"]


@struct.dataclass
class ProbeResult:
    """All gradients of a batch's scalar, attributions, and the coupling of its tokens."""

    gradients: WaveGradients  # of the sum of the examples' scalars
    gradient_times_input: Float[Array, "b n"]
    integrated: IntegratedGradients
    couplings: tuple[Couplings, ...]  # of each layer {operation: (real, imag)}, see `coupling`


def probe_batch(
    model: Model,
    params: Params,
    ids: Ids,
    labels: Labels,
    *,
    baseline_ids: Ids,
    mask: Mask | None = None,
    scalar: Scalar = model_api.cross_entropy,
) -> ProbeResult:
    """Returns everything that the probe's command and page show. Usable under jit.

    Args, Raises: as for `wave_gradients`; `baseline_ids` as for `integrated_gradients`.
    """
    real = model_api.real_tokens(ids, mask)
    gradients = wave_gradients(model, params, ids, labels, mask=real, scalar=scalar)
    integrated = integrated_gradients(
        model, params, ids, labels, baseline_ids=baseline_ids, mask=real, scalar=scalar
    )
    products = jnp.sum(gradients.embedding * model_api.embed(model, params, ids), axis=-1)
    segments = model_api.variant_segments(model, ids, real)
    coupled = tuple(couplings(layer, real, segments) for layer in gradients.layers)
    return ProbeResult(gradients, products, integrated, coupled)


_SILENT = (
    "The phases of all tokens but [CLS] have gradient 0: one layer pooled at [CLS] reads two "
    "magnitudes in each dimension and the phases of [CLS] alone. With --model.pooling mean, or "
    "several layers, every token's wave reaches the classifier."
)


@dataclass(frozen=True)
class TextProbe:
    """One text with all its gradients; arrays are NumPy's, without padding."""

    text: str
    tokens: tuple[str, ...]  # as read, [CLS] and [SEP] included
    tokens_cut: int  # number of tokens beyond the network's maximum length, which were not read
    label: int  # index among `labels` of the class whose scalar is differentiated
    labels: tuple[str, ...]
    of: Of  # the scalar
    result: ProbeResult  # of a batch of this one text


def _silent(layers: Sequence[LayerGradients]) -> bool:
    """Returns whether no phase but that of the first token has a gradient."""
    return not any(np.any(v.d_phase[0, 1:]) for layer in layers for v in layer.variants)


def probe_record(probe: TextProbe) -> dict[str, Any]:
    """Returns the probe as plain values for `json.dumps`.

    Per token: `gradient` is the L2 norm of the scalar's gradient at the token's embedding; in each
    of `layers`, `magnitude_path` and `phase_path` are L2 norms over dimensions and both variants.
    """
    gradients, integrated = probe.result.gradients, probe.result.integrated
    logits = np.asarray(gradients.logits[0], np.float64)
    shares = np.exp(logits - logits.max())
    gap = float(integrated.gap[0])
    return {
        "text": probe.text,
        "note": _SILENT if _silent(gradients.layers) else None,
        "tokens": list(probe.tokens),
        "tokens_cut": probe.tokens_cut,
        "predicted": probe.labels[logits.argmax()],
        "probabilities": dict(zip(probe.labels, (shares / shares.sum()).tolist(), strict=True)),
        "of": probe.of,
        "label": probe.labels[probe.label],
        "value": float(gradients.loss),
        "gradient": _norms(gradients.embedding[0]),
        "gradient_times_input": probe.result.gradient_times_input[0].tolist(),
        "integrated_gradients": {
            "tokens": integrated.tokens[0].tolist(),
            "value": float(integrated.value[0]),
            "baseline_value": float(integrated.baseline_value[0]),
            "gap": gap if np.isfinite(gap) else None,  # JSON has no infinity
            "converged": bool(integrated.converged[0]),
            "evaluations": int(integrated.evaluations),
        },
        "layers": [_layer_record(layer) for layer in gradients.layers],
    }


def _layer_record(layer: LayerGradients) -> dict[str, Any]:
    both = layer.variants
    magnitude = np.concatenate([v.magnitude_path[0] for v in both], axis=-1)
    phase = np.concatenate([v.phase_path[0] for v in both], axis=-1)
    return {
        "magnitude_path": _norms(magnitude),
        "phase_path": _norms(phase),
        "magnitude_share": float(magnitude_share(jnp.asarray(magnitude), jnp.asarray(phase))),
        "mean_abs_d_magnitude": float(np.mean([np.abs(v.d_magnitude).mean() for v in both])),
        "mean_abs_d_phase": float(np.mean([np.abs(v.d_phase).mean() for v in both])),
    }


def _norms(x: Any) -> Any:
    wide = np.asarray(x, np.float64)  # squares of small gradients vanish in float32
    return np.linalg.norm(wide, axis=-1).tolist()
