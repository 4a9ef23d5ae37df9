"""Gradients through magnitude and phase: pure functions, usable under jit.

`split_gradient` splits a gradient into a magnitude path and a phase path; `polar_gradients` gives
the derivatives by magnitude and phase, `wave_gradients` everything in every layer of a Wave
Network. `gradient_norms` and the attributions work for any Linen module with the methods `embed`
and `logits_from_embeddings`.
"""

from wave_jax.ops import split_gradient
from wave_jax.probe.attribution import (
    IntegratedGradients,
    gradient_times_input,
    integrated_gradients,
    unknown_baseline,
)
from wave_jax.probe.coupling import coupling
from wave_jax.probe.gradients import (
    LayerGradients,
    SuperposedGradients,
    VariantGradients,
    WaveGradients,
    gradient_norms,
    summarize,
    wave_gradients,
)
from wave_jax.probe.model_api import class_logit, cross_entropy, margin
from wave_jax.probe.paths import magnitude_share, polar_gradient, polar_gradients

__all__ = [
    "IntegratedGradients", "LayerGradients", "SuperposedGradients", "VariantGradients",
    "WaveGradients", "class_logit", "coupling", "cross_entropy", "gradient_norms",
    "gradient_times_input", "integrated_gradients", "magnitude_share", "margin", "polar_gradient",
    "polar_gradients", "split_gradient", "summarize", "unknown_baseline", "wave_gradients",
]  # fmt: skip
