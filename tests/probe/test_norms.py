"""Gradient norms against separate gradients of the mean loss."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.probe.networks import IDS, LABELS, MASK, QUICK, network
from tests.probe.test_gradients import Bag
from wave_jax import probe


def mean_loss(model, params, embeddings):
    logits = model.apply({"params": params}, embeddings, MASK, method="logits_from_embeddings")
    return jnp.mean(-jnp.take_along_axis(jax.nn.log_softmax(logits), LABELS[:, None], 1))


def l2(tree):
    return np.sqrt(sum(float(np.sum(np.square(leaf))) for leaf in jax.tree.leaves(tree)))


@pytest.mark.parametrize("kind", ["plain", "both-real", "bag"])
def test_norms_equal_those_of_the_gradients(kind):
    if kind == "bag":
        model = Bag()
        params = model.init(jax.random.key(0), IDS, MASK)["params"]
    else:
        model, params = network(kind)
    norms = jax.jit(partial(probe.gradient_norms, model), compiler_options=QUICK)(
        params, IDS, LABELS, mask=MASK
    )

    @partial(jax.jit, compiler_options=QUICK)
    def expected(params):
        embeddings = model.apply({"params": params}, IDS, method="embed")
        at = jax.grad(partial(mean_loss, model, params))(embeddings)

        def whole(p):
            return mean_loss(model, p, model.apply({"params": p}, IDS, method="embed"))

        return at, jax.grad(whole)(params)

    at, by_params = expected(params)
    assert float(norms.pop("cls")) == pytest.approx(l2(at[:, 0]), rel=1e-5)
    assert float(norms.pop("input")) == pytest.approx(l2(at), rel=1e-5)
    assert "classifier" in norms
    for name, norm in norms.items():
        group = by_params
        for part in name.split("/"):
            group = group[part]
        assert float(norm) == pytest.approx(l2(group), rel=1e-5), name
    top = [float(norm) ** 2 for name, norm in norms.items() if "/" not in name]
    assert np.sqrt(sum(top)) == pytest.approx(l2(by_params), rel=1e-5)


def test_another_scalar():
    model, params = network("plain")

    def both(params):
        run = partial(probe.gradient_norms, model, params, IDS, LABELS, mask=MASK)
        return run(), run(scalar=lambda *a: 2 * probe.cross_entropy(*a))

    plain, double = jax.jit(both, compiler_options=QUICK)(params)
    assert float(double["cls"]) == pytest.approx(2 * float(plain["cls"]), rel=1e-5)
