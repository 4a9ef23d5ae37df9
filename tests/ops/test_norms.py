"""The two norms against the oracle, on the inputs where naive formulae break."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads

from tests import oracle
from wave_jax import ops

# float32 keeps 6e-8 a rounding; the sum, the product and the root of r are a handful of them.
FORWARD = 1e-6
# Relative to max_i |u_i| sum_j |q_j|/r_j, the size of the terms that are added up.
BACKWARD = 1e-5


def backward(u, q):
    return jax.vjp(ops.leave_one_out_norm, u)[1](q)[0]


# Compiled once a shape, for all cases.
NORMS = {"eager": ops.leave_one_out_norm, "jit": jax.jit(ops.leave_one_out_norm)}
MAGNITUDES = {"eager": ops.magnitude, "jit": jax.jit(ops.magnitude)}
BACKWARDS = {"eager": backward, "jit": jax.jit(backward)}


def tied(rng, n):
    u = rng.standard_normal((n, 8))
    u[: n // 2 + 1] = u[0]
    u[0] *= -1
    return u


def dominated(rng, n):
    u = rng.standard_normal((n, 8))
    u[rng.integers(n, size=8), np.arange(8)] *= 1e6
    return u


def sparse(rng, n):
    u = rng.standard_normal((n, 8))
    u[:, :3] = 0  # whole dimensions empty
    u[1:, 3:5] = 0  # one token alone in its dimension
    return u


CASES = {
    "normal": lambda rng, n: rng.standard_normal((n, 8)),
    "tied": tied,
    "dominated": dominated,
    "sparse": sparse,
    "zeros": lambda rng, n: np.zeros((n, 8)),
}


SCALES = (1e-30, 1e-15, 1.0, 1e15, 1e30)


def hard_inputs(n):
    """All cases at all scales side by side: dimensions have nothing to do with one another."""
    rng = np.random.default_rng(n)
    columns = [make(rng, n) * scale for make in CASES.values() for scale in SCALES]
    return np.concatenate(columns, axis=1).astype(np.float32)


@pytest.mark.parametrize("run", ["eager", "jit"])
@pytest.mark.parametrize("n", [1, 2, 3, 17, 150])
def test_norms_match_the_oracle_on_hard_inputs(n, run):
    u = hard_inputs(n)
    got = np.asarray(NORMS[run](jnp.asarray(u)), np.float64)
    np.testing.assert_allclose(got, oracle.leave_one_out(u), rtol=FORWARD, atol=0)
    got = np.asarray(MAGNITUDES[run](jnp.asarray(u))[0], np.float64)
    np.testing.assert_allclose(got, oracle.magnitude(u)[0], rtol=FORWARD, atol=0)


@pytest.mark.parametrize("run", ["eager", "jit"])
@pytest.mark.parametrize("n", [1, 2, 3, 17, 150])
def test_backward_matches_the_oracle_on_hard_inputs(n, run):
    u = hard_inputs(n)
    q = np.random.default_rng(5).standard_normal(u.shape).astype(np.float32)
    got = np.asarray(BACKWARDS[run](jnp.asarray(u), jnp.asarray(q)), np.float64)
    expected, bound = oracle.leave_one_out_vjp(u, q)
    assert np.isfinite(got).all()
    assert (np.abs(got - expected) <= BACKWARD * bound).all()


@pytest.mark.parametrize("n", [1000, 5000])
def test_long_texts_lose_no_accuracy(n):
    u = np.random.default_rng(0).standard_normal((n, 4)).astype(np.float32)
    total = (u.astype(np.float64) ** 2).sum(axis=0)
    got = jax.jit(ops.leave_one_out_norm)(u)
    # In float64 the subtraction loses 1e-16 n, far below the tolerance.
    np.testing.assert_allclose(got, np.sqrt(total - u.astype(np.float64) ** 2), rtol=FORWARD)


@pytest.mark.parametrize("run", ["eager", "jit"])
def test_the_largest_token_keeps_a_tiny_rest(run):
    # G^2 - u^2 would be 0 here: 1e-12 is below float32's resolution of 1.
    u = jnp.array([[1.0], [1e-6]])
    np.testing.assert_allclose(NORMS[run](u)[:, 0], [1e-6, 1.0], rtol=FORWARD)


def test_ties_give_exact_zeros_where_nothing_else_is_left():
    # The maximum divided by itself must be exactly 1 whatever the compiler does to a division.
    values = np.random.default_rng(0).standard_normal((1, 4096)).astype(np.float32)
    assert (jax.jit(ops.leave_one_out_norm)(values) == 0).all()
    both = jnp.concatenate([values, jnp.zeros_like(values)])
    np.testing.assert_array_equal(
        jax.jit(ops.leave_one_out_norm)(both), np.stack([0 * values[0], np.abs(values[0])])
    )


@pytest.mark.parametrize("modes", [["fwd"], ["rev"]])
def test_derivatives_to_second_order(modes):
    u = np.random.default_rng(1).standard_normal((4, 3))
    segments = jnp.array([1, 2, 1, 2])
    with jax.enable_x64(True):
        for f in (
            ops.leave_one_out_norm,
            ops.magnitude,
            ops.phase,
            lambda u: ops.leave_one_out_norm(u, segment_ids=segments),
            lambda u: ops.magnitude(u, mask=jnp.array([True, True, False, True])),
        ):
            # Central differences in float64 with step 1e-5 leave about 1e-6 after two orders.
            check_grads(f, (jnp.asarray(u),), order=2, modes=modes, atol=1e-4, rtol=1e-4, eps=1e-5)


def test_jacobian_is_the_closed_form_in_both_modes():
    u = np.random.default_rng(2).standard_normal((5, 2)).astype(np.float32)
    r = oracle.leave_one_out(u)
    expected = np.zeros((5, 2, 5, 2))
    for j in range(5):
        for i in range(5):
            for k in range(2):
                expected[j, k, i, k] = 0 if i == j else u[i, k] / r[j, k]
    for jacobian in (jax.jacfwd, jax.jacrev):
        got = jax.jit(jacobian(ops.leave_one_out_norm))(u)
        np.testing.assert_allclose(got, expected, atol=1e-6)  # entries are at most 1


def test_zero_is_the_subgradient_at_singular_points():
    def gradient(u):
        return jax.grad(lambda u: ops.leave_one_out_norm(u).sum())(jnp.asarray(u, jnp.float32))

    np.testing.assert_array_equal(gradient([[3.0]]), [[0.0]])
    np.testing.assert_array_equal(gradient([[0.0], [0.0]]), [[0.0], [0.0]])
    # r of the first token is 0, of the second |u_0|: only the second has a derivative.
    np.testing.assert_array_equal(gradient([[-2.0], [0.0]]), [[-1.0], [0.0]])


def test_gradients_are_finite_at_every_order_on_singular_points():
    hessian = jax.jit(jax.hessian(lambda u: ops.leave_one_out_norm(u).sum()))
    for u in (jnp.zeros((2, 2)), jnp.ones((2, 2)), jnp.array([[1.0, 0.0], [0.0, 0.0]])):
        assert np.isfinite(hessian(u)).all()
