"""The two paths of a gradient: against the oracle, differences, autodiff, and each other."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.probe.oracle import CASES, paths
from wave_jax import ops

# The scope of a case: the whole text, its first tokens, or segments with padding.
SCOPES = {
    "all": lambda n: {},
    "mask": lambda n: {"mask": np.arange(n) < max(1, n - 2)},
    "segments": lambda n: {"segment_ids": np.where(np.arange(n) % 5 == 4, 0, np.arange(n) % 2 + 1)},
}
split = jax.jit(ops.split_gradient)


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
    """The oracle knows no gradient g: it has Jacobians of G and of every phase, token by token."""
    for n in (1, 2, 9):
        u, p, q = inputs(case, n, np.float32)
        kept = SCOPES[scope](n)
        magnitude, phase, size = paths(u, p, q, **oracle_scope(kept))
        found = split(u, backward(u, p, q, **kept), **kept)
        # float32 rounds to 6e-8; a few dozen terms of this size are multiplied and added.
        bound = 2e-6 * np.maximum(size.max(axis=0), np.abs(magnitude).max(axis=0))
        bound = np.maximum(bound, 1e-6)
        assert (np.abs(found[0] - magnitude) <= bound).all()
        assert (np.abs(found[1] - phase) <= bound).all()


@pytest.mark.parametrize("n", [1, 9, 300])
@pytest.mark.parametrize("scope", SCOPES)
def test_paths_add_up_and_are_perpendicular(scope, n):
    for dtype, tolerance in ((np.float32, 1e-5), (np.float64, 1e-12)):  # some 100 roundings
        with jax.enable_x64(dtype == np.float64):
            for case in CASES:
                u, g, _ = inputs(case, n, dtype)
                kept = SCOPES[scope](n)
                real = np.asarray(kept.get("mask", kept.get("segment_ids", np.ones(n)))) > 0
                magnitude, phase = map(np.asarray, split(u, g, **kept))
                assert magnitude.dtype == phase.dtype == dtype
                assert not magnitude[~real].any()
                assert not phase[~real].any()
                assert (np.abs(magnitude + phase - g)[real] <= tolerance * np.abs(g).max()).all()
                parts = [np.sum(np.square(x, dtype=np.float64)) for x in (magnitude, phase)]
                whole = np.sum(np.square(g[real], dtype=np.float64))
                assert sum(parts) == pytest.approx(whole, rel=10 * tolerance)


@pytest.mark.parametrize("scale", [1e-30, 1e-10, 1e10, 1e30])
def test_the_scale_of_tokens_does_not_matter(scale):
    u, g, _ = inputs("dominated", 7, np.float32)
    power = np.float32(2.0 ** np.round(np.log2(scale)))
    for plain, scaled in zip(split(u, g), split(u * power, g), strict=True):
        np.testing.assert_allclose(scaled, plain, rtol=1e-5, atol=1e-6)


def test_each_path_equals_central_differences_in_polar_coordinates():
    """Magnitude path: G moves, phases stay. Phase path: phases move, G stays."""
    with jax.enable_x64(True):
        u, p, q = inputs("normal", 5, np.float64)

        def loss(at_norm, at_phase):
            wave = ops.magnitude(at_norm) * np.exp(1j * np.asarray(ops.phase(at_phase)))
            return float(jnp.sum(p * wave.real + q * wave.imag))

        found = ops.split_gradient(u, total_by_autodiff(u, p, q))
        step = 1e-5  # error of order step^2 = 1e-10, rounding 1e-16 / step = 1e-11
        for i in range(5):
            for k in (0, 3):
                shift = np.zeros_like(u)
                shift[i, k] = step
                by_norm = (loss(u + shift, u) - loss(u - shift, u)) / (2 * step)
                by_phase = (loss(u, u + shift) - loss(u, u - shift)) / (2 * step)
                assert found[0][i, k] == pytest.approx(by_norm, rel=1e-6, abs=1e-8)
                assert found[1][i, k] == pytest.approx(by_phase, rel=1e-6, abs=1e-8)


def test_singular_points_return_what_the_docstring_says():
    g = jnp.array([[2.0], [3.0]])
    zeros = split(jnp.zeros((2, 1)), g)
    assert zeros[0].tolist() == [[0], [0]]
    assert zeros[1].tolist() == g.tolist()
    alone = split(jnp.array([[-4.0], [0.0]]), g)  # one token that is not 0
    assert alone[0].tolist() == [[2], [0]]
    assert alone[1].tolist() == [[0], [3]]


def test_padding_holds_nothing_and_changes_nothing():
    u, g, _ = inputs("normal", 6, np.float32)
    mask = np.arange(6) < 4
    padded = [np.where(mask[:, None], x, np.nan).astype(np.float32) for x in (u, g)]
    for path, plain in zip(split(*padded, mask=mask), split(u[:4], g[:4]), strict=True):
        np.testing.assert_allclose(path[:4], plain, rtol=1e-6)
        assert not path[4:].any()


def test_batches_are_texts_side_by_side_with_and_without_jit():
    u, g = (np.stack(pair) for pair in zip(
        inputs("normal", 9, np.float32)[:2], inputs("tied", 9, np.float32, 1)[:2], strict=True
    ))  # fmt: skip
    whole, mapped = split(u, g), jax.jit(jax.vmap(ops.split_gradient))(u, g)
    for x, y, z in zip(whole, mapped, ops.split_gradient(u, g), strict=True):
        np.testing.assert_allclose(x, y, rtol=1e-6, atol=1e-7)
        np.testing.assert_allclose(x, z, rtol=1e-5, atol=1e-6)


def test_half_precision_comes_back_in_its_own_dtype():
    u, g, _ = (jnp.asarray(x, jnp.bfloat16) for x in inputs("normal", 5, np.float32))
    for path in split(u, g):
        assert path.dtype == jnp.bfloat16


def test_wrong_arguments_are_named():
    u = jnp.ones((3, 2))
    with pytest.raises(ValueError, match="u and g must have the same shape"):
        ops.split_gradient(u, u[:2])
    with pytest.raises(TypeError, match="g must be a real"):
        ops.split_gradient(u, u.astype(jnp.complex64))
    with pytest.raises(TypeError, match="u must be a real floating-point array, got list"):
        ops.split_gradient([[1.0]], u)
    with pytest.raises(ValueError, match="not both"):
        ops.split_gradient(u, u, mask=jnp.ones(3, bool), segment_ids=jnp.ones(3, int))


def loss_of_waves(u, path, **scope):
    z = ops.token_to_wave(
        ops.one_path(u, path, scope.get("mask"), scope.get("segment_ids")), **scope
    )
    return jnp.sum(jnp.sin(z.real) * z.imag)


@pytest.mark.parametrize("scope", SCOPES)
def test_one_path_is_the_identity_with_one_part_of_the_gradient(scope):
    with jax.enable_x64(True):
        u, tangent, _ = inputs("normal", 7, np.float64)
        kept = SCOPES[scope](7)
        differentiate = jax.value_and_grad(loss_of_waves)
        runs = [differentiate(u, path, **kept) for path in ("both", "magnitude", "phase")]
        values, grads = zip(*runs, strict=True)
        assert values[0] == values[1] == values[2]
        both, *parts = map(np.asarray, grads)
        for found, expected in zip(parts, ops.split_gradient(u, both, **kept), strict=True):
            np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-13)
        np.testing.assert_allclose(parts[0] + parts[1], both, rtol=1e-12, atol=1e-13)
        # forward mode: a projection is its own transpose
        forward = jax.jvp(partial(loss_of_waves, path="phase", **kept), (u,), (tangent,))[1]
        assert forward == pytest.approx(np.sum(parts[1] * tangent), rel=1e-10)
