"""Schedule, decay mask and clipping."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.training.small import small_model
from wave_jax.training.step import clip_factor
from wave_jax.training.task import decay_mask, make_schedule


def test_warm_up_takes_a_tenth_of_the_steps_at_most():
    rate = make_schedule("constant", 2.0, 100, 50)
    assert [float(rate(step)) for step in range(6)] == pytest.approx([0.4, 0.8, 1.2, 1.6, 2, 2])


def test_cosine_falls_to_zero_without_rising_again():
    rates = [float(make_schedule("cosine", 1.0, 10, 200)(step)) for step in range(230)]
    assert max(rates) == rates[10] == 1.0
    assert np.all(np.diff(rates[10:]) <= 0)
    assert rates[200] == rates[229] == pytest.approx(0, abs=1e-7)  # float32 cosine of pi


def test_training_without_warm_up_starts_at_the_peak():
    assert float(make_schedule("cosine", 1.0, 0, 5)(0)) == 1.0


def test_decay_acts_on_kernels_and_embeddings_only():
    model, ids = small_model(op="both"), jnp.zeros((1, 2), jnp.int32)
    mask = decay_mask(jax.eval_shape(model.init, jax.random.key(0), ids)["params"])
    assert mask["embed"]["embedding"] is True
    assert mask["classifier"] == {"kernel": True, "bias": False}
    assert mask["layer_0"]["norm_out"] == {"scale": False, "bias": False}
    assert mask["layer_0"]["mix"] is False


@pytest.mark.parametrize(("norm", "limit", "expected"), [(0.5, 1, 1), (4, 1, 0.25), (4, 0, 1)])
def test_clip_factor(norm, limit, expected):
    assert float(clip_factor(jnp.float32(norm), limit)) == expected
