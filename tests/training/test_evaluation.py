"""Evaluation: every example once, in the original order, whatever the batches."""

from __future__ import annotations

import jax
import numpy as np
import pytest

from tests.training.stubs import Bag, Texts
from wave_jax.training.evaluation import Evaluator, evaluate_split
from wave_jax.training.mesh import make_mesh


def oracle(params, texts):
    """Every text alone, in NumPy and float64; returns logits and the mean loss."""
    params = jax.tree.map(lambda leaf: np.asarray(leaf, np.float64), params)

    def dense(name, x):
        return x @ params[name]["kernel"] + params[name]["bias"]

    logits = []
    for ids, length in zip(texts.ids, texts.lengths, strict=True):
        x = params["embed"]["embedding"][ids[:length]].mean(0)
        inner = dense("ffn_in", x)
        tanh = np.tanh(np.sqrt(2 / np.pi) * (inner + 0.044715 * inner**3))
        x = x + dense("ffn_out", 0.5 * inner * (1 + tanh))
        x = (x - x.mean()) / np.sqrt(x.var() + 1e-6)
        logits.append(dense("classifier", x * params["norm"]["scale"] + params["norm"]["bias"]))
    shares = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
    return np.array(logits), -np.log(shares[np.arange(len(logits)), texts.labels]).mean()


def initialised(texts):
    ids = texts.ids[:1]
    return Bag(), jax.jit(Bag().init)(jax.random.key(0), ids)["params"]


@pytest.mark.parametrize("batch_size", [8, 32])
def test_every_example_counts_once_and_in_order(batch_size):
    texts = Texts(29, batch_size, seed=1, shuffle=False)
    model, params = initialised(texts)
    result = evaluate_split(model, params, texts)
    logits, loss = oracle(params, texts)
    np.testing.assert_allclose(result.logits, logits, atol=1e-5)  # float32
    assert result.loss == pytest.approx(loss, rel=1e-5)
    assert result.accuracy == (logits.argmax(-1) == texts.labels).mean()
    assert result.examples == 29
    np.testing.assert_array_equal(result.labels, texts.labels)
    np.testing.assert_array_equal(result.predictions, logits.argmax(-1))


def test_poll_may_stop_it():
    texts = Texts(29, 8, shuffle=False)
    model, params = initialised(texts)

    class Stop(Exception):
        pass

    def poll():
        raise Stop

    with pytest.raises(Stop):
        Evaluator(model, make_mesh(1, 1))(jax.device_put(params), texts, poll)
