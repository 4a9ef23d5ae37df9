"""Waves in rectangular and in polar form."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from wave_jax import ops


@pytest.fixture
def u():
    return np.random.default_rng(4).standard_normal((5, 6)).astype(np.float32)


@pytest.fixture(params=[False, True], ids=["eager", "jit"])
def run(request):
    return jax.jit if request.param else lambda f: f


def test_polar_round_trip(u, run):
    z = run(ops.token_to_wave)(u)
    np.testing.assert_allclose(run(lambda z: ops.from_polar(*ops.to_polar(z)))(z), z, rtol=1e-6)
    magnitude, phase = ops.magnitude(u), ops.phase(u)
    np.testing.assert_allclose(ops.from_polar(magnitude, phase), z, rtol=1e-5, atol=1e-6)


def test_phase_is_an_angle_between_0_and_pi_and_0_for_nothing():
    u = jnp.array([[-1.0, 0.0, -0.0, 2.0]])
    np.testing.assert_allclose(ops.phase(u), [[np.pi, 0.0, 0.0, 0.0]])
    many = ops.phase(np.random.default_rng(0).standard_normal((50, 9)).astype(np.float32))
    assert ((many >= 0) & (many <= np.pi)).all()


def test_the_origin_has_derivative_0(run):
    def loss(wave):
        magnitude, phase = ops.to_polar(wave[0] + 1j * wave[1])
        return (magnitude + phase).sum()

    np.testing.assert_array_equal(run(jax.grad(loss))(jnp.zeros((2, 3))), 0)


def test_wrong_dtypes_are_named(u):
    with pytest.raises(TypeError, match="wave must be a complex array"):
        ops.to_polar(u)
    with pytest.raises(TypeError, match="magnitude must be a real"):
        ops.from_polar(u + 0j, u)
