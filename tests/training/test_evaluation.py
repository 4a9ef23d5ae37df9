"""Evaluation: every example once, in the original order, whatever the batches."""

from __future__ import annotations

import jax
import numpy as np
import pytest

from tests.training.stubs import Bag, Texts
from wave_jax.training.evaluation import evaluate_split


def oracle(model, params, texts):
    """Every text alone, without padding."""
    logits = []
    for ids, length in zip(texts.ids, texts.lengths, strict=True):
        logits.append(model.apply({"params": params}, ids[None, :length])[0])
    logits = np.array(logits, np.float64)
    shares = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
    return logits, -np.log(shares[np.arange(len(logits)), texts.labels]).mean()


@pytest.mark.parametrize("batch_size", [8, 32])
def test_every_example_counts_once_and_in_order(batch_size):
    texts = Texts(29, batch_size, seed=1, shuffle=False)
    model = Bag()
    params = model.init(jax.random.key(0), texts.ids[:1])["params"]
    result = evaluate_split(model, params, texts)
    logits, loss = oracle(model, params, texts)
    np.testing.assert_allclose(result.logits, logits, atol=1e-5)  # sums of 12 in another order
    assert result.loss == pytest.approx(loss, rel=1e-5)
    assert result.accuracy == (logits.argmax(-1) == texts.labels).mean()
    assert result.examples == 29
    np.testing.assert_array_equal(result.labels, texts.labels)
    np.testing.assert_array_equal(result.predictions, logits.argmax(-1))


def test_poll_may_stop_it():
    texts = Texts(29, 8, shuffle=False)
    model = Bag()
    params = model.init(jax.random.key(0), texts.ids[:1])["params"]

    class Stop(Exception):
        pass

    def poll():
        raise Stop

    from wave_jax.training.evaluation import Evaluator
    from wave_jax.training.mesh import make_mesh

    with pytest.raises(Stop):
        Evaluator(model, make_mesh(1, 1))(jax.device_put(params), texts, poll)
