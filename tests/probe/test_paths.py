"""Derivatives by magnitude and phase, and a path's share."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.ops.test_paths import inputs
from tests.probe.networks import IDS, LABELS, MASK, double, network
from wave_jax import ops, probe
from wave_jax.errors import UserError

polar = jax.jit(probe.polar_gradient)


def test_polar_gradient_equals_autodiff_of_the_polar_formula():
    with jax.enable_x64(True):
        u, p, q = inputs("normal", 6, np.float64)
        norm, phase = ops.magnitude(u), ops.phase(u)

        def loss(norm, phase):
            return jnp.sum(p * norm * jnp.cos(phase) + q * norm * jnp.sin(phase))

        expected = jax.grad(loss, argnums=(0, 1))(norm, phase)
        found = polar(u, p, q)
        for x, y in zip(found, expected, strict=True):
            assert x.shape == y.shape
            np.testing.assert_allclose(x, y, rtol=1e-12, atol=1e-13)


def test_polar_gradient_is_of_each_segment():
    u, p, q = inputs("normal", 6, np.float32)
    segments = np.array([1, 2, 1, 2, 1, 0])
    found = polar(u, p, q, segment_ids=segments)
    for s in (1, 2):
        at = segments == s
        alone = polar(u[at], p[at], q[at])
        np.testing.assert_allclose(found[0][at], np.broadcast_to(alone[0], u[at].shape), rtol=1e-5)
        np.testing.assert_allclose(found[1][at], alone[1], rtol=1e-5, atol=1e-6)
    assert not found[0][5].any()
    assert not found[1][5].any()


@pytest.mark.parametrize("kind", ["plain", "both-imag", "both-magnitude", "sentences-one-layer"])
def test_polar_gradients_of_a_network_are_those_of_every_layer(kind):
    """Autodiff from the polar coordinates on, against cotangents at the waves."""
    with jax.enable_x64(True):
        model, params = network(kind)
        params = double(params)
        found = probe.polar_gradients(model, params, IDS, LABELS, mask=MASK)
        expected = probe.wave_gradients(model, params, IDS, LABELS, mask=MASK).layers[0].variants
        for v, variant in enumerate(expected):
            if found[0].shape[1] == 1:
                np.testing.assert_allclose(found[0][:, :, v], variant.d_magnitude, rtol=1e-9)
            np.testing.assert_allclose(found[1][:, :, v], variant.d_phase, rtol=1e-9, atol=1e-12)


def test_polar_gradients_need_one_layer_of_waves():
    model, params = network("deep")
    with pytest.raises(ValueError, match="needs one layer, this network has 3"):
        probe.polar_gradients(model, params, IDS, LABELS)


def test_networks_without_waves_are_refused():
    with pytest.raises(UserError, match="no waves"):
        probe.polar_gradients(object(), {}, IDS, LABELS)


def test_magnitude_share_is_of_the_energies():
    gradient = np.random.default_rng(0).standard_normal((2, 6, 8)).astype(np.float32)
    for scale in (1.0, 1e-25):  # whose squares are below float32
        paths = ops.split_gradient(gradient[0], gradient[1] * np.float32(scale))
        energies = [np.sum(np.square(path, dtype=np.float64)) for path in paths]
        expected = energies[0] / sum(energies)
        assert float(probe.magnitude_share(*paths)) == pytest.approx(expected, rel=1e-5)
        assert float(probe.magnitude_share(*paths[::-1])) == pytest.approx(1 - expected, rel=1e-5)
    share = probe.magnitude_share(jnp.array([[3.0], [0.0]]), jnp.array([[1.0], [0.0]]), axis=-1)
    np.testing.assert_allclose(share, [0.9, 0.5], rtol=1e-6)
