"""Evaluation: every example once, in the original order, whatever the batches."""

from __future__ import annotations

import jax
import numpy as np
import pytest

from tests.training.small import Texts, small_model
from wave_jax.inference.report import make_report
from wave_jax.training.evaluation import Evaluator
from wave_jax.training.mesh import make_mesh


@pytest.fixture(scope="module")
def network():
    model = small_model(op="both")
    ids = Texts(1, 1).ids
    return model, jax.jit(model.init)(jax.random.key(0), ids, ids >= 0)["params"]


@pytest.fixture(scope="module")
def expected(network):
    """The logits of each text alone and without padding, by the model's reference path."""
    model, params = network
    texts = Texts(29, 8, seed=1, shuffle=False)
    # as quick to compile as can be: one program for each length
    options = {"xla_backend_optimization_level": 0}
    alone = jax.jit(
        lambda *given: model.apply({"params": params}, *given)[0], compiler_options=options
    )
    pairs = zip(texts.ids, texts.lengths, strict=True)
    return np.array([alone(ids[None, :n], np.ones((1, n), bool)) for ids, n in pairs], np.float64)


@pytest.mark.parametrize("batch_size", [8, 32])
def test_every_example_counts_once_and_in_order(network, expected, batch_size):
    texts = Texts(29, batch_size, seed=1, shuffle=False)
    model, params = network
    result = Evaluator(model, make_mesh(1, 1))(jax.device_put(params), texts)
    logits = expected
    log_shares = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
    np.testing.assert_allclose(result.logits, logits, atol=1e-5)  # float32
    loss = -log_shares[np.arange(29), texts.labels].mean()
    assert result.loss == pytest.approx(loss, rel=1e-5)
    assert result.accuracy == (logits.argmax(-1) == texts.labels).mean()
    report = make_report(logits, texts.labels, ("a", "b", "c"))
    assert result.macro_f1 == pytest.approx(report["macro_f1"], rel=1e-12)
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
