"""Gradient x input and integrated gradients: exact where they must be, complete, honest."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.probe.networks import IDS, LABELS, MASK, QUICK, Bag, network
from wave_jax import probe

UNKNOWN = np.asarray(probe.unknown_baseline(jnp.asarray(IDS), unk_id=1, keep=(2, 3)))


def bag():
    model = Bag()
    return model, model.init(jax.random.key(0), IDS, MASK)["params"]


def test_the_baseline_keeps_the_special_tokens():
    assert UNKNOWN[2].tolist() == [2, 1, 1, 1, 3, 1, 1, 1, 1, 1]


def test_a_linear_model_is_attributed_exactly():
    """The logit of a bag is a sum over tokens: both attributions are its terms."""
    model, params = bag()
    options = {"mask": MASK, "scalar": probe.class_logit}
    table, kernel = params["table"]["embedding"], params["classifier"]["kernel"]
    weights = kernel[:, LABELS].T[:, None]
    terms = np.where(MASK, np.sum(table[IDS] * weights, axis=-1), 0)
    found = probe.gradient_times_input(model, params, IDS, LABELS, **options)
    np.testing.assert_allclose(found, terms, rtol=1e-5, atol=1e-6)
    integrated = probe.integrated_gradients(
        model, params, IDS, LABELS, baseline_ids=UNKNOWN, **options
    )
    change = np.where(MASK, np.sum((table[IDS] - table[UNKNOWN]) * weights, axis=-1), 0)
    np.testing.assert_allclose(integrated.tokens, change, rtol=1e-4, atol=1e-5)
    assert integrated.evaluations == 8


@pytest.mark.parametrize("kind", ["both-magnitude"])
def test_integrated_gradients_are_complete(kind):
    model, params = network(kind, trained=True)
    function = jax.jit(
        partial(probe.integrated_gradients, model, scalar=probe.margin), compiler_options=QUICK
    )
    result = function(params, IDS, LABELS, mask=MASK, baseline_ids=UNKNOWN)
    assert result.converged.all()
    change = result.value - result.baseline_value
    gap = np.abs(np.sum(result.tokens, axis=1) - change) / np.abs(change)
    np.testing.assert_allclose(gap, result.gap, atol=1e-6)
    assert (gap < 0.01).all()
    # [CLS] and [SEP] are the same in text and baseline: nothing is theirs.
    assert not np.any(np.asarray(result.tokens)[np.isin(IDS, (0, 2, 3))])
    finer = function(params, IDS, LABELS, mask=MASK, baseline_ids=UNKNOWN, tolerance=1e-4)
    assert finer.evaluations >= result.evaluations


def test_a_cap_that_is_reached_is_reported():
    model, params = network("plain")
    result = jax.jit(
        partial(probe.integrated_gradients, model, max_evaluations=20), compiler_options=QUICK
    )(
        params, IDS, LABELS, mask=MASK, baseline_ids=UNKNOWN,
        tolerance=1e-12,
    )  # fmt: skip
    assert result.evaluations == 16
    assert not result.converged.all()
    assert (result.gap >= 1e-12).any()


def test_a_text_that_is_its_baseline_has_no_gap():
    model, params = network("plain")
    function = jax.jit(partial(probe.integrated_gradients, model), compiler_options=QUICK)
    result = function(params, UNKNOWN, LABELS, baseline_ids=UNKNOWN)
    assert not result.tokens.any()
    assert not result.gap.any()
    assert result.converged.all()


def test_a_summed_scalar_has_one_gap():
    model, params = network("plain", trained=True)
    result = probe.integrated_gradients(
        model, params, IDS, LABELS, mask=MASK, baseline_ids=UNKNOWN,
        scalar=lambda logits, labels: jnp.sum(probe.class_logit(logits, labels)),
    )  # fmt: skip
    assert result.gap.shape == ()
    change = float(result.value - result.baseline_value)
    assert float(jnp.sum(result.tokens)) == pytest.approx(change, rel=0.01)


class Cubic(Bag):
    """A bag whose logits are cubes: the gradient along a line is a polynomial of degree 2."""

    def logits_from_embeddings(self, embeddings, mask, *, deterministic=True):
        return super().logits_from_embeddings(embeddings, mask) ** 3


def test_eight_points_integrate_polynomials_exactly():
    model = Cubic()
    params = model.init(jax.random.key(0), IDS, MASK)["params"]
    result = probe.integrated_gradients(
        model, params, IDS, LABELS, mask=MASK, baseline_ids=UNKNOWN, scalar=probe.class_logit
    )
    assert result.evaluations == 8
    assert (result.gap < 1e-4).all()  # rounding of some tens of float32 sums
