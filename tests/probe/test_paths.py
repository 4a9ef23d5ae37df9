"""The two paths of a gradient: against the oracle, differences, autodiff, and each other."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.probe.oracle import CASES, paths
from wave_jax import ops, probe

# The scope of a case: the whole text, its first tokens, or segments with padding.
SCOPES = {
    "all": lambda n: {},
    "mask": lambda n: {"mask": np.arange(n) < max(1, n - 2)},
    "segments": lambda n: {"segment_ids": np.where(np.arange(n) % 5 == 4, 0, np.arange(n) % 2 + 1)},
}
split = jax.jit(probe.split_gradient)
polar = jax.jit(probe.polar_gradient)


def inputs(case, n, dtype, seed=0):
    rng = np.random.default_rng(seed)
    u = CASES[case](rng, n).astype(dtype)
    p, q = rng.standard_normal((2, n, 8)).astype(dtype)
    return u, p, q


def total_by_autodiff(u, p, q, **scope):
    """dL/du for cotangents p and q, through the wave's two parts."""

    def wave(u):
        z = ops.token_to_wave(u, **scope)
        return z.real, z.imag

    return jax.vjp(wave, u)[1]((p, q))[0]


backward = jax.jit(total_by_autodiff)


def oracle_scope(scope):
    return {"mask": scope.get("mask"), "segments": scope.get("segment_ids")}


@pytest.mark.parametrize("scope", SCOPES)
@pytest.mark.parametrize("case", CASES)
def test_both_paths_equal_the_oracle(case, scope):
    for n in (1, 2, 9):
        u, p, q = inputs(case, n, np.float32)
        kept = SCOPES[scope](n)
        magnitude, phase, size = paths(u, p, q, **oracle_scope(kept))
        found = split(u, p, q, **kept)
        # float32 rounds to 6e-8; a few dozen terms of this size are multiplied and added.
        bound = 2e-6 * np.maximum(size.max(axis=0), np.abs(magnitude).max(axis=0))
        bound = np.maximum(bound, 1e-6)
        assert (np.abs(found[0] - magnitude) <= bound).all()
        assert (np.abs(found[1] - phase) <= bound).all()


@pytest.mark.parametrize("n", [1, 9, 300])
@pytest.mark.parametrize("scope", SCOPES)
def test_paths_add_up_to_the_gradient(scope, n):
    # 1e-5 and 1e-12 are the project's promise; about 100 roundings of either type.
    for dtype, tolerance in ((np.float32, 1e-5), (np.float64, 1e-12)):
        with jax.enable_x64(dtype == np.float64):
            for case in CASES:
                u, p, q = inputs(case, n, dtype)
                kept = SCOPES[scope](n)
                magnitude, phase = map(np.asarray, split(u, p, q, **kept))
                total = np.asarray(backward(u, p, q, **kept))
                assert magnitude.dtype == dtype
                larger = np.maximum(np.abs(magnitude).max(axis=0), np.abs(phase).max(axis=0))
                assert (np.abs(magnitude + phase - total) <= tolerance * larger).all()


@pytest.mark.parametrize("scale", [1e-30, 1e-10, 1e10, 1e30])
def test_the_tokens_scale_does_not_matter(scale):
    """The paths of dL/du do not change when u is scaled and (p, q) are kept."""
    u, p, q = inputs("dominated", 7, np.float32)
    power = np.float32(2.0 ** np.round(np.log2(scale)))
    for plain, scaled in zip(split(u, p, q), split(u * power, p, q), strict=True):
        np.testing.assert_allclose(scaled, plain, rtol=1e-5, atol=1e-6)


def test_each_path_equals_central_differences_in_polar_coordinates():
    """Magnitude path: G moves, phases stay. Phase path: phases move, G stays."""
    with jax.enable_x64(True):
        u, p, q = inputs("normal", 5, np.float64)

        def loss(at_norm, at_phase):
            wave = ops.magnitude(at_norm) * np.exp(1j * np.asarray(ops.phase(at_phase)))
            return float(jnp.sum(p * wave.real + q * wave.imag))

        found = probe.split_gradient(u, p, q)
        step = 1e-5  # error of order step^2 = 1e-10, rounding 1e-16 / step = 1e-11
        for i in range(5):
            for k in (0, 3):
                shift = np.zeros_like(u)
                shift[i, k] = step
                by_norm = (loss(u + shift, u) - loss(u - shift, u)) / (2 * step)
                by_phase = (loss(u, u + shift) - loss(u, u - shift)) / (2 * step)
                assert found[0][i, k] == pytest.approx(by_norm, rel=1e-6, abs=1e-8)
                assert found[1][i, k] == pytest.approx(by_phase, rel=1e-6, abs=1e-8)


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


def test_singular_points_return_what_the_docstring_says():
    p, q = jnp.array([[2.0], [3.0]]), jnp.array([[5.0], [7.0]])
    zeros = split(jnp.zeros((2, 1)), p, q)
    assert zeros[0].tolist() == [[0], [0]]
    assert zeros[1].tolist() == p.tolist()
    # One token that is not 0: its G is |u|, its phase 0 or pi; q_0 adds nothing.
    alone = split(jnp.array([[-4.0], [0.0]]), p, q)
    # magnitude: c_0 (p_0 c_0 + q_1 s_1) = 2 - 7; phase: p_1, as token 1 turns at radius G
    assert alone[0].tolist() == [[-5], [0]]
    assert alone[1].tolist() == [[0], [3]]


def test_padding_holds_nothing_and_changes_nothing():
    u, p, q = inputs("normal", 6, np.float32)
    mask = np.arange(6) < 4
    padded = [np.where(mask[:, None], x, np.nan).astype(np.float32) for x in (u, p, q)]
    for path, plain in zip(
        split(*padded, mask=mask),
        split(u[:4], p[:4], q[:4]),
        strict=True,
    ):
        np.testing.assert_allclose(path[:4], plain, rtol=1e-6)
        assert not path[4:].any()


def test_eager_equals_jit():
    u, p, q = inputs("dominated", 9, np.float32)
    kept = SCOPES["segments"](9)
    for x, y in zip(probe.split_gradient(u, p, q, **kept), split(u, p, q, **kept), strict=True):
        np.testing.assert_allclose(x, y, rtol=1e-5, atol=1e-6)


def test_batches_are_texts_side_by_side():
    u, p, q = (np.stack(pair) for pair in zip(
        inputs("normal", 9, np.float32), inputs("tied", 9, np.float32, 1), strict=True
    ))  # fmt: skip
    whole = split(u, p, q)
    mapped = jax.jit(jax.vmap(probe.split_gradient))(u, p, q)
    for x, y in zip(whole, mapped, strict=True):
        np.testing.assert_allclose(x, y, rtol=1e-6, atol=1e-7)


def test_half_precision_comes_back_in_its_own_dtype():
    u, p, q = (jnp.asarray(x, jnp.bfloat16) for x in inputs("normal", 5, np.float32))
    for path in split(u, p, q):
        assert path.dtype == jnp.bfloat16


def test_wrong_arguments_are_named():
    u = jnp.ones((3, 2))
    with pytest.raises(ValueError, match="u and p must have the same shape"):
        probe.split_gradient(u, u[:2], u)
    with pytest.raises(TypeError, match="q must be a real"):
        probe.split_gradient(u, u, u.astype(jnp.complex64))
    with pytest.raises(TypeError, match="u must be a real floating-point array, got list"):
        probe.split_gradient([[1.0]], u, u)
    with pytest.raises(ValueError, match="not both"):
        probe.split_gradient(u, u, u, mask=jnp.ones(3, bool), segment_ids=jnp.ones(3, int))
