"""A probed text: its tokens with all gradients, and as plain values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import jax.numpy as jnp
import numpy as np
from numpy.typing import ArrayLike

from wave_jax.probe.gradients import LayerGradients, magnitude_share
from wave_jax.probe.result import ProbeResult

Of: TypeAlias = Literal["loss", "logit", "margin"]


@dataclass(frozen=True)
class TextProbe:
    """One text with all its gradients; the arrays are NumPy's, without padding.

    Attributes:
      text, tokens: the text and its pieces, [CLS] and [SEP] included.
      cut: pieces that were cut off, as the network reads no more.
      label: the class that the scalar is of; `labels` has the names of all.
      of: the scalar: 'loss', 'logit' or 'margin'.
      examination: all gradients, for a batch of this one text.
    """

    text: str
    tokens: tuple[str, ...]
    cut: int
    label: int
    labels: tuple[str, ...]
    of: Of
    examination: ProbeResult

    @property
    def probabilities(self) -> dict[str, float]:
        """The network's answer."""
        logits = np.asarray(self.examination.gradients.logits[0], np.float64)
        shares = np.exp(logits - logits.max())
        return dict(zip(self.labels, (shares / shares.sum()).tolist(), strict=True))


def probe_record(probe: TextProbe) -> dict[str, Any]:
    """Returns the probe as plain values for `json.dumps`.

    Per token: `gradient` is the L2 norm of the scalar's gradient at the token's embedding; in each
    of `layers`, `magnitude_path` and `phase_path` are L2 norms over dimensions and both variants.
    """
    found = probe.examination
    integrated = found.integrated
    gap = float(integrated.gap[0])
    return {
        "text": probe.text,
        "tokens": list(probe.tokens),
        "tokens_cut": probe.cut,
        "predicted": max(probe.probabilities, key=lambda name: probe.probabilities[name]),
        "probabilities": probe.probabilities,
        "of": probe.of,
        "label": probe.labels[probe.label],
        "value": float(found.gradients.loss),
        "gradient": _norms(found.gradients.embedding[0]),
        "gradient_times_input": found.gradient_times_input[0].tolist(),
        "integrated_gradients": {
            "tokens": integrated.tokens[0].tolist(),
            "value": float(integrated.value[0]),
            "baseline_value": float(integrated.baseline_value[0]),
            "gap": gap if np.isfinite(gap) else None,  # JSON has no infinity
            "converged": bool(integrated.converged[0]),
            "evaluations": int(integrated.evaluations),
        },
        "layers": [_layer(layer) for layer in found.gradients.layers],
    }


def _layer(layer: LayerGradients) -> dict[str, Any]:
    both = layer.variants
    magnitude = np.concatenate([variant.magnitude_path[0] for variant in both], axis=-1)
    phase = np.concatenate([variant.phase_path[0] for variant in both], axis=-1)
    return {
        "magnitude_path": _norms(magnitude),
        "phase_path": _norms(phase),
        "magnitude_share": float(magnitude_share(jnp.asarray(magnitude), jnp.asarray(phase))),
        "mean_abs_d_magnitude": float(np.mean([np.abs(v.d_magnitude).mean() for v in both])),
        "mean_abs_d_phase": float(np.mean([np.abs(v.d_phase).mean() for v in both])),
    }


def _norms(x: ArrayLike) -> list[float]:
    """L2 norms over the last axis, summed in float64: squares of small gradients are smaller."""
    norms: list[float] = np.linalg.norm(np.asarray(x, np.float64), axis=-1).tolist()
    return norms
