"""Training through one path: the same forward pass, and two gradients that add up to the whole."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.probe.networks import IDS, LABELS, MASK, QUICK, double
from wave_jax import probe
from wave_jax.models import ModelConfig, build_model

KINDS = {
    "cls": {},
    "cls-table": {"variants": "table", "head": "linear", "linear_path": True},
    "mean": {"pooling": "mean", "op": "interference"},
    "deep-sentences": {"layers": 2, "scopes": ("sentence", "input")},
}
PATHS = ("both", "magnitude", "phase")


def networks(kind):
    """A module for each path, and parameters in float64 for all of them."""
    config = {"dim": 4} | KINDS[kind]
    if "head" not in config:
        config["ffn_dim"] = 4
    sizes = {"vocab_size": 40, "num_classes": 3, "max_length": 12}
    ends = {"sentence_end_ids": (9,), "sep_id": 3}
    models = [build_model(ModelConfig(**config, gradient=path), **sizes, **ends) for path in PATHS]
    shapes = jax.eval_shape(models[0].init, jax.random.key(0), IDS, MASK)["params"]
    rng = np.random.default_rng(0)
    return models, jax.tree.map(lambda leaf: rng.standard_normal(leaf.shape), shapes)


def by_rows(model, params):
    distinct, inverse = np.unique(IDS, return_inverse=True)
    inverse = inverse.reshape(IDS.shape).astype(np.int32)
    arguments = distinct.astype(np.int32), inverse, MASK
    return model.apply({"params": params}, *arguments, method="logits_from_distinct")


def by_text(model, params):
    return model.apply({"params": params}, IDS, MASK)


@pytest.mark.parametrize("logits", [by_text, by_rows])
@pytest.mark.parametrize("kind", KINDS)
def test_the_two_gradients_add_up_to_the_whole(kind, logits):
    """What comes before the waves; what comes after has the same gradient on every path."""
    with jax.enable_x64(True):
        models, params = networks(kind)

        def loss(params, model):
            return jnp.mean(probe.cross_entropy(logits(model, params), LABELS))

        differentiate = jax.jit(jax.value_and_grad(loss), static_argnums=1, compiler_options=QUICK)
        values, grads = zip(*(differentiate(double(params), each) for each in models), strict=True)
        if logits is by_text:  # equal to the bit; summed by counts, the whole takes another way
            assert values[0] == values[1] == values[2]
        np.testing.assert_allclose(values, values[0], rtol=1e-12)
        both, magnitude, phase = grads
        if models[0].layers == 1:
            columns = models[0].linear_columns()
            table = [
                g["embed"]["embedding"][:, : g["embed"]["embedding"].shape[1] - columns]
                for g in grads
            ]
            np.testing.assert_allclose(table[1] + table[2], table[0], rtol=1e-10, atol=1e-13)
            assert all(np.abs(each).max() > 1e-6 for each in table)
        for each in (magnitude, phase):
            found, whole = each["classifier"]["kernel"], both["classifier"]["kernel"]
            np.testing.assert_allclose(found, whole, rtol=1e-10)


@pytest.mark.parametrize("kind", ["cls-table", "mean"])
def test_logits_from_polar_are_those_of_the_text(kind):
    with jax.enable_x64(True):
        models, params = networks(kind)
        apply = partial(models[0].apply, {"params": params})
        magnitude, phase = apply(IDS, MASK, method="polar")
        assert magnitude.shape == (3, 1, 2, 4)
        assert phase.shape == (3, 10, 2, 4)
        found = apply(magnitude, phase, IDS, MASK, method="logits_from_polar")
        np.testing.assert_allclose(found, apply(IDS, MASK), rtol=1e-12)


def test_phases_of_tokens_that_cls_does_not_read_have_gradient_zero():
    """Under [CLS] pooling one layer reads a text as two magnitudes and the phases of [CLS]."""
    with jax.enable_x64(True):
        models, params = networks("cls")
        _, d_phase = probe.polar_gradients(models[0], double(params), IDS, LABELS, mask=MASK)
        assert np.abs(d_phase[:, 0]).min() > 0
        assert not np.any(d_phase[:, 1:])
