"""Probed texts made of random numbers, for what only shows them."""

import numpy as np

from wave_jax import probe
from wave_jax.probe.result import ProbeResult, TextProbe


def fabricate(tokens, dims, *, text="some text", layers=1, ops=("modulation",), sentences=False):
    """A TextProbe for these tokens; phases, magnitudes and couplings hang together as real ones."""
    rng = np.random.default_rng(0)
    n = len(tokens)

    def normal(*shape):
        return rng.standard_normal((1, *shape)).astype(np.float32)

    def variant():
        u = normal(n, dims)
        norm = np.linalg.norm(u, axis=1, keepdims=True)
        norm = np.broadcast_to(norm, u.shape).copy() if sentences else norm
        magnitude_path, phase_path = normal(n, dims), 0.1 * normal(n, dims)
        return probe.VariantGradients(
            tokens=u,
            magnitude=norm,
            phase=np.arccos(u / norm),
            d_magnitude=normal(*norm.shape[1:]),
            d_phase=normal(n, dims) * (np.arange(n) == 0)[:, None],
            magnitude_path=magnitude_path,
            phase_path=phase_path,
            total=magnitude_path + phase_path,
        )

    parts = [probe.LayerGradients((variant(), variant()), {}) for _ in range(layers)]
    couplings = tuple({op: (abs(normal(n, n)), abs(normal(n, n))) for op in ops} for _ in parts)
    gradients = probe.WaveGradients(
        loss=np.float32(0.25),
        values=np.float32([0.25]),
        logits=np.float32([[1.0, 2.0]]),
        embedding=normal(n, dims),
        layers=tuple(parts),
    )
    integrated = probe.IntegratedGradients(
        tokens=normal(n),
        value=np.float32([0.25]),
        baseline_value=np.float32([1.5]),
        gap=np.float32([0.002]),
        converged=np.array([True]),
        evaluations=np.int32(16),
    )
    result = ProbeResult(gradients, normal(n), integrated, couplings)
    return TextProbe(text, tuple(tokens), 0, 1, ("sea", "<i>land</i>"), "loss", result)
