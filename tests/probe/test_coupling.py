"""Coupling matrices against Jacobians by automatic differentiation, and on hard inputs."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.probe.oracle import CASES
from wave_jax import ops, probe

N, D = 7, 8
FIRST = np.array([1, 1, 2, 2, 2, 1, 0])
SECOND = np.array([1, 1, 1, 2, 2, 2, 0])
SCOPES = {
    "mask": {"mask": np.arange(N) < 5},
    "segments": {"segment_ids": FIRST},
    "pair": {"segment_ids": (FIRST, SECOND)},
    "half": {"segment_ids": (None, SECOND)},
}


def by_jacobian(u1, u2, op, **scope):
    """The definition: norms over k of all derivatives of part_j[k] by u1_i and u2_i."""
    jacobians = jax.jacobian(partial(ops.superpose, op=op, **scope), argnums=(0, 1))(u1, u2)
    return [jnp.sqrt(sum(jnp.sum(x**2, axis=(1, 3)) for x in part)) for part in jacobians]


@pytest.mark.parametrize(
    ("scope", "op"),
    [("mask", "interference"), ("segments", "interference"), *((s, "modulation") for s in SCOPES)],
)
def test_equals_the_jacobian(scope, op):
    with jax.enable_x64(True):
        expected = jax.jit(partial(by_jacobian, op=op, **SCOPES[scope]))
        found = jax.jit(partial(probe.coupling, op=op, **SCOPES[scope]))
        for case in CASES:
            u1, u2 = (CASES[case](np.random.default_rng(seed), N) for seed in (0, 1))
            for x, y in zip(found(u1, u2), expected(u1, u2), strict=True):
                top = max(float(jnp.max(y)), 1e-9)
                np.testing.assert_allclose(x, y, rtol=1e-9, atol=1e-12 * top)


@pytest.mark.parametrize("op", ["interference", "modulation"])
def test_half_of_each_row_is_the_tokens_own(op):
    """As the squares of dr_j/du_i = u_i/r_j add up to 1 over i, whatever the embeddings."""
    with jax.enable_x64(True):
        for case in ("normal", "dominated"):
            u1, u2 = (CASES[case](np.random.default_rng(seed), N) for seed in (0, 1))
            squares = sum(np.square(part) for part in probe.coupling(u1, u2, op))
            own = np.diagonal(squares)
            np.testing.assert_allclose(squares.sum(axis=1), 2 * own, rtol=1e-9)


@pytest.mark.parametrize("scale", [1e-30, 1e30])
def test_float32_of_any_scale(scale):
    """Relative to the largest entry 1e-5: float32 rounds to 6e-8, over some tens of terms."""
    for op in ("interference", "modulation"):
        run = jax.jit(partial(probe.coupling, op=op))
        for case in ("normal", "dominated"):
            u1, u2 = (CASES[case](np.random.default_rng(seed), N) for seed in (0, 1))
            with jax.enable_x64(True):
                exact = [np.asarray(x) for x in run(u1, u2)]
            weight = scale if op == "modulation" else 1.0
            found = run(*(np.float32(u * scale) for u in (u1, u2)))
            for x, y in zip(found, exact, strict=True):
                np.testing.assert_allclose(x / np.float32(weight), y, atol=1e-5 * y.max())


def test_interference_couples_by_its_imaginary_part_only():
    u1, u2 = np.random.default_rng(0).standard_normal((2, 3, N, D)).astype(np.float32)
    off = ~np.eye(N, dtype=bool)
    real, imag = probe.coupling(u1, u2, "interference")
    assert real.shape == (3, N, N)
    assert not np.any(real[:, off])
    assert np.all(imag[:, off] > 0)
    assert not np.any(imag[:, ~off])
    assert all(np.all(part > 0) for part in probe.coupling(u1, u2, "modulation"))


@pytest.mark.parametrize(
    "scope", [{"mask": np.arange(N) < 5}, {"segment_ids": (np.arange(N) < 5).astype(int)}]
)
def test_padding_couples_nothing(scope):
    u1, u2 = np.random.default_rng(0).standard_normal((2, N, D)).astype(np.float32)
    u1[5:] = np.nan
    for part in probe.coupling(u1, u2, "modulation", **scope):
        assert np.isfinite(part).all()
        assert not np.any(part[5:])
        assert not np.any(part[:, 5:])


def test_an_unknown_operation_is_named():
    u = jnp.ones((2, 2))
    with pytest.raises(ValueError, match="did you mean 'modulation'"):
        probe.coupling(u, u, "modulaton")
