"""Statistics of embeddings."""

from __future__ import annotations

import numpy as np

from wave_jax.experiments.monitors import independence


def test_independence_of_gaussians_and_of_copies() -> None:
    rng = np.random.default_rng(0)
    free = independence(rng.standard_normal((4000, 20)))
    # 190 pairs, each |r| with a standard deviation of 0.0095
    assert abs(free["mean_abs"] - free["expected_mean_abs"]) < 3 * 0.0095 / np.sqrt(190)
    assert free["effective_rank"] > 19.8
    assert sum(free["histogram"]) == 20 * 19
    base = rng.standard_normal((4000, 1))
    same = independence(np.hstack([base, -2 * base, 3 * base + 1]))
    assert same["max_abs"] == same["mean_abs"] == 1
    assert same["effective_rank"] == 1
