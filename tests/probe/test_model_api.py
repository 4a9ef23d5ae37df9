"""What models may be probed, and the scalars that are differentiated."""

import jax
import numpy as np
import pytest
from flax import linen as nn

from tests.probe.networks import IDS, LABELS, MASK, Bag, network
from wave_jax import probe
from wave_jax.errors import UserError
from wave_jax.probe import model_api


def test_scalars():
    logits = np.random.default_rng(0).standard_normal((3, 4)).astype(np.float32)
    own = logits[range(3), LABELS]
    np.testing.assert_array_equal(probe.class_logit(logits, LABELS), own)
    expected = np.log(np.sum(np.exp(logits), axis=1)) - own
    np.testing.assert_allclose(probe.cross_entropy(logits, LABELS), expected, rtol=1e-5)
    others = [max(np.delete(row, k)) for row, k in zip(logits, LABELS, strict=True)]
    np.testing.assert_allclose(probe.margin(logits, LABELS), own - others, rtol=1e-6)


def test_the_two_halves_make_the_model():
    model, params = network("sentences")
    embeddings = model_api.embed(model, params, IDS)
    logits = model_api.logits(model, {"params": params}, embeddings, IDS, MASK)
    np.testing.assert_allclose(logits, model.apply({"params": params}, IDS, MASK), rtol=1e-5)


def test_segments_of_the_two_variants():
    first, second = model_api.variant_segments(network("sentences")[0], IDS, MASK)
    assert second is None
    assert first.shape == IDS.shape
    assert not np.any(first[~MASK])
    assert model_api.variant_segments(network("plain")[0], IDS, MASK) == (None, None)


def test_a_model_that_cannot_be_probed_is_refused():
    model = Bag()
    params = model.init(jax.random.key(0), IDS, MASK)["params"]
    with pytest.raises(UserError, match="Bag has no waves, so no phases to probe"):
        probe.wave_gradients(model, params, IDS, LABELS, mask=MASK)
    with pytest.raises(UserError, match=r"Dense cannot be probed: it lacks the method embed"):
        probe.wave_gradients(nn.Dense(2), params, IDS, LABELS, mask=MASK)
