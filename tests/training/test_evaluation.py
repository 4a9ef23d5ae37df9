"""Evaluation: every example once, in the original order, whatever the batches."""

from __future__ import annotations

import jax
import numpy as np
import pytest

from tests.training.small import Texts, small_model
from wave_jax.training.evaluation import Evaluator
from wave_jax.training.mesh import make_mesh


@pytest.fixture(scope="module")
def network():
    model = small_model(op="both")
    ids = Texts(1, 1).ids
    return model, jax.jit(model.init)(jax.random.key(0), ids, ids >= 0)["params"]


@pytest.mark.parametrize("batch_size", [8, 32])
def test_every_example_counts_once_and_in_order(network, batch_size):
    texts = Texts(29, batch_size, seed=1, shuffle=False)
    model, params = network
    result = Evaluator(model, make_mesh(1, 1))(jax.device_put(params), texts)
    # each text alone and without padding, by the model's reference path
    logits = np.array(
        [
            model.apply({"params": params}, ids[None, :length], np.ones((1, length), bool))[0]
            for ids, length in zip(texts.ids, texts.lengths, strict=True)
        ],
        np.float64,
    )
    log_shares = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
    np.testing.assert_allclose(result.logits, logits, atol=1e-5)  # float32
    loss = -log_shares[np.arange(29), texts.labels].mean()
    assert result.loss == pytest.approx(loss, rel=1e-5)
    assert result.accuracy == (logits.argmax(-1) == texts.labels).mean()
    assert result.examples == 29
    np.testing.assert_array_equal(result.labels, texts.labels)


def test_poll_may_stop_it(network):
    class Stop(Exception):
        pass

    def poll():
        raise Stop

    model, params = network
    with pytest.raises(Stop):
        Evaluator(model, make_mesh(1, 1))(jax.device_put(params), Texts(29, 8, shuffle=False), poll)
