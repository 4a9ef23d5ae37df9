"""Gradients through magnitude and phase: pure functions, usable under jit.

`split_gradient` splits the cotangents of a wave into a magnitude path and a phase path;
`wave_gradients` applies it to every layer of a Wave Network. `gradient_norms` and the attributions
work for any Linen module with the methods `embed` and `logits_from_embeddings`.
"""

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
from wave_jax.probe.paths import magnitude_share, polar_gradient, split_gradient

__all__ = [
    "IntegratedGradients", "LayerGradients", "SuperposedGradients", "VariantGradients",
    "WaveGradients", "class_logit", "coupling", "cross_entropy", "gradient_norms",
    "gradient_times_input", "integrated_gradients", "magnitude_share", "margin", "polar_gradient",
    "split_gradient", "summarize", "unknown_baseline", "wave_gradients",
]  # fmt: skip
