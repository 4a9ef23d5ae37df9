"""The superposition of waves against the literal polar formulae."""

from typing import get_args

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads

from tests import oracle
from wave_jax import ops

MASK = np.array([True, True, True, False, True])
SEGMENTS = np.array([1, 1, 2, 0, 2])
OPS = {"interference": np.add, "modulation": np.multiply}
# Two roundings more than r itself, on numbers of size G G' (about 10 here).
TOLERANCE = {"rtol": 1e-5, "atol": 1e-5}


@pytest.fixture
def pair():
    rng = np.random.default_rng(4)
    return rng.standard_normal((2, 5, 6)).astype(np.float32)


@pytest.fixture(params=[False, True], ids=["eager", "jit"])
def run(request):
    return jax.jit if request.param else lambda f: f


def test_every_operation_that_has_a_name_has_a_test():
    assert set(OPS) == set(get_args(ops.Superposition))


@pytest.mark.parametrize("op", sorted(OPS))
@pytest.mark.parametrize(
    ("kwargs", "scopes"),
    [
        ({}, [(None, None), (None, None)]),
        ({"mask": MASK}, [(MASK, None), (MASK, None)]),
        ({"segment_ids": SEGMENTS}, [(None, SEGMENTS), (None, SEGMENTS)]),
        ({"segment_ids": (SEGMENTS, None)}, [(None, SEGMENTS), (MASK, None)]),
        ({"segment_ids": (None, SEGMENTS)}, [(MASK, None), (None, SEGMENTS)]),
        ({"segment_ids": (None, None), "mask": MASK}, [(MASK, None), (MASK, None)]),
    ],
    ids=["plain", "mask", "segments", "sentence-input", "input-sentence", "pair of none"],
)
def test_superpose_is_the_literal_complex_formula(op, kwargs, scopes, pair, run):
    real, imag = run(lambda a, b: ops.superpose(a, b, op, **kwargs))(*pair)
    waves = [oracle.wave(u, *scope) for u, scope in zip(pair, scopes, strict=True)]
    expected = OPS[op](*waves)
    np.testing.assert_allclose(real, expected.real, **TOLERANCE)
    np.testing.assert_allclose(imag, expected.imag, **TOLERANCE)


def test_superpose_equals_the_complex_functions(pair, run):
    z1, z2 = (run(ops.token_to_wave)(u) for u in pair)
    for op, meet in (("interference", ops.interfere), ("modulation", ops.modulate)):
        real, imag = run(lambda a, b, op=op: ops.superpose(a, b, op))(*pair)
        np.testing.assert_allclose(run(meet)(z1, z2), real + 1j * imag, **TOLERANCE)


@pytest.mark.parametrize("op", sorted(OPS))
@pytest.mark.parametrize("kind", ["real", "imag", "magnitude", "phase"])
def test_gradients_are_those_of_the_polar_formula(op, kind, pair):
    """Against plain autodiff of eq. 2, 3 and 6, which is finite away from singular points."""

    def polar(u):
        g = jnp.sqrt(jnp.sum(u**2, axis=0, keepdims=True))
        alpha = jnp.arctan2(jnp.sqrt(1 - (u / g) ** 2), u / g)
        return g * jnp.exp(1j * alpha)

    def literal(a, b):
        z = polar(a) + polar(b) if op == "interference" else polar(a) * polar(b)
        readers = {"real": jnp.real, "imag": jnp.imag, "magnitude": jnp.abs, "phase": jnp.angle}
        return jnp.sum(weights * readers[kind](z))

    def ours(a, b):
        return jnp.sum(weights * ops.readout(*ops.superpose(a, b, op), kind))

    with jax.enable_x64(True):
        weights = np.random.default_rng(0).standard_normal(pair.shape[1:])
        a, b = (jnp.asarray(u, jnp.float64) for u in pair)
        for got, expected in zip(
            jax.jit(jax.grad(ours, (0, 1)))(a, b), jax.grad(literal, (0, 1))(a, b), strict=True
        ):
            # The literal formula cancels in 1 - (u/G)^2; float64 leaves it about 1e-13.
            np.testing.assert_allclose(got, expected, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("op", sorted(OPS))
@pytest.mark.parametrize("modes", [["rev"], pytest.param(["fwd"], marks=pytest.mark.slow)])
def test_superpose_derivatives_to_second_order(op, modes, pair):
    with jax.enable_x64(True):
        a, b = (jnp.asarray(u[:, :2], jnp.float64) for u in pair)
        for kind in ("real", "magnitude", "phase"):

            def f(a, b, kind=kind):
                return ops.readout(*ops.superpose(a, b, op, segment_ids=SEGMENTS), kind)

            # Central differences with step 1e-5: about 1e-6 is left after two orders.
            check_grads(f, (a, b), order=2, modes=modes, atol=1e-3, rtol=1e-3, eps=1e-5)


@pytest.mark.parametrize("kind", ["real", "imag", "magnitude", "phase"])
@pytest.mark.parametrize("op", sorted(OPS))
def test_everything_is_finite_at_singular_points(op, kind, run):
    def loss(u):
        return jnp.sum(ops.readout(*ops.superpose(u, u, op), kind) ** 2)

    one_token = jnp.array([[1.0, -1.0, 0.0, 1e-30]])
    zeros_and_ties = jnp.array([[0.0, 1.0, -1.0, 1e-30], [0.0, 0.0, 1.0, 1e-30]])
    gradient = run(jax.value_and_grad(loss))
    for u in (one_token, zeros_and_ties):
        value, grad = gradient(u)
        assert np.isfinite(value)
        assert np.isfinite(grad).all()


def test_interference_term_tells_reinforcement_from_cancellation(pair, run):
    z1, z2 = (ops.token_to_wave(u) for u in pair)
    term = run(ops.interference_term)(z1, z2)
    g1, g2 = oracle.magnitude(pair[0]), oracle.magnitude(pair[1])
    a1, a2 = np.angle(oracle.wave(pair[0])), np.angle(oracle.wave(pair[1]))
    np.testing.assert_allclose(term, 2 * g1 * g2 * np.cos(a1 - a2), **TOLERANCE)
    np.testing.assert_allclose(
        jnp.abs(z1 + z2) ** 2, jnp.abs(z1) ** 2 + jnp.abs(z2) ** 2 + term, **TOLERANCE
    )


def test_real_part_of_interference_is_local_and_modulation_couples_all(pair):
    """A claim of the second paper, by the Jacobian: which output depends on which token."""

    def jacobian(op, part):
        f = jax.jacobian(lambda u: ops.superpose(u, jnp.asarray(pair[1]), op)[part][:, 0])
        return np.abs(np.asarray(f(jnp.asarray(pair[0])))).sum(axis=-1)

    off_diagonal = ~np.eye(5, dtype=bool)
    assert (jacobian("interference", 0)[off_diagonal] == 0).all()
    assert (jacobian("interference", 1)[off_diagonal] > 0).all()
    assert (jacobian("modulation", 0)[off_diagonal] > 0).all()
    assert (jacobian("modulation", 1)[off_diagonal] > 0).all()


@pytest.mark.parametrize(
    ("call", "error", "text"),
    [
        (lambda a, b: ops.superpose(a, b, "modulaton"), ValueError, "did you mean 'modulation'"),
        (lambda a, b: ops.superpose(a, b[:3], "modulation"), ValueError, "u1 and u2 must have"),
        (
            lambda a, b: ops.superpose(a, b, "modulation", segment_ids=(SEGMENTS,)),
            ValueError,
            "pair",
        ),
        (
            lambda a, b: ops.superpose(a, b, "modulation", mask=MASK, segment_ids=(SEGMENTS, None)),
            ValueError,
            "not both",
        ),
        (lambda a, b: ops.readout(a, b, "angle"), ValueError, "kind must be one of 'real'"),
        (lambda a, b: ops.interfere(a, b), TypeError, "z1 must be a complex array"),
        (lambda a, b: ops.modulate(a + 0j, b[:2] + 0j), ValueError, "z1 and z2 must have"),
    ],
)
def test_wrong_arguments_are_named(call, error, text, pair):
    with pytest.raises(error, match=text):
        call(*pair)
