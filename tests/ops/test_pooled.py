"""Norms and sums from distinct rows and counts, against the oracle on hard inputs."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads

from tests import oracle
from tests.ops.test_norms import BACKWARD, FORWARD, hard_inputs
from wave_jax import ops

TEXTS = 4


def value_and_pullback(u, inverse, others, q):
    r, pullback = jax.vjp(lambda u: ops.first_token_norm(u, inverse, others), u)
    return r, pullback(q)[0]


def with_places(u, places, inverse, others, q):
    r, pullback = jax.vjp(lambda u, p: ops.first_token_norm(u, inverse, others, p), u, places)
    return r, *pullback(q)


RUNS = {"eager": value_and_pullback, "jit": jax.jit(value_and_pullback)}
PLACED = {"eager": with_places, "jit": jax.jit(with_places)}


def texts_of(rows, seed):
    """Texts of up to 2 `rows` tokens with repetitions; the last consists of its first token."""
    rng = np.random.default_rng(seed)
    inverse = rng.integers(0, rows, (TEXTS, 2 * rows)).astype(np.int32)
    mask = rng.random(inverse.shape) < 0.7
    mask[-1, 1:] = False
    return inverse, np.asarray(ops.others_of_first(jnp.asarray(mask)))


def expected(u, inverse, others, q):
    """r_0 [b, d], the gradient [m, d], and the size of the terms that it is the sum of."""
    u, q = np.asarray(u, np.float64), np.asarray(q, np.float64)
    r = np.stack([oracle.norm(u[i[kept]]) for i, kept in zip(inverse, others, strict=True)])
    share = np.where(r > 0, q / np.where(r > 0, r, 1), 0)
    grad, bound = np.zeros_like(u), np.zeros_like(u)
    for text, place in zip(*np.nonzero(others), strict=True):
        row = inverse[text, place]
        grad[row] += u[row] * share[text]
        bound[row] += np.abs(u[row] * share[text])
    return r, grad, bound


@pytest.mark.parametrize("run", sorted(RUNS))
@pytest.mark.parametrize("rows", [1, 2, 3, 17, 150])
def test_first_token_norm_matches_the_oracle_on_hard_inputs(rows, run):
    u = hard_inputs(rows)
    inverse, others = texts_of(rows, seed=rows)
    q = np.random.default_rng(5).standard_normal((TEXTS, u.shape[1])).astype(np.float32)
    r, grad = (np.asarray(x, np.float64) for x in RUNS[run](u, inverse, others, q))
    value, gradient, bound = expected(u, inverse, others, q)
    np.testing.assert_allclose(r, value, rtol=FORWARD, atol=0)
    assert np.isfinite(grad).all()
    assert (np.abs(grad - gradient) <= BACKWARD * bound).all()


@pytest.mark.parametrize(
    ("rows", "run"), [(1, "jit"), (3, "eager"), (3, "jit"), (17, "jit"), (150, "jit")]
)
def test_tokens_with_places_match_the_oracle_on_hard_inputs(rows, run):
    """Places that cancel a row exactly, nearly and not at all, in every dimension."""
    rng = np.random.default_rng(rows)
    u = hard_inputs(rows)
    inverse, others = texts_of(rows, seed=rows)
    cancelled = -u[inverse[0]] * rng.choice([1, 1 + 1e-6, 0.5, 0], (2 * rows, 1))
    places = np.where(rng.random(cancelled.shape) < 0.9, cancelled, 0).astype(np.float32)
    q = rng.standard_normal((TEXTS, u.shape[1])).astype(np.float32)
    got, *grads = (np.asarray(x, np.float64) for x in PLACED[run](u, places, inverse, others, q))
    # The sum of a row and a place is a token, rounded as everywhere; from there on nothing is lost.
    tokens = np.asarray(u[inverse] + places, np.float64)
    r = np.stack([oracle.norm(x[kept]) for x, kept in zip(tokens, others, strict=True)])
    np.testing.assert_allclose(got, r, rtol=FORWARD, atol=0)
    share = np.where(r > 0, q / np.where(r > 0, r, 1), 0)
    terms = np.where(others[..., None], tokens * share[:, None], 0)
    # What is left of a row at 1e-30 may be less than float32's smallest normal number, and then 0.
    smallest = np.finfo(np.float32).tiny * np.abs(share[:, None])
    error = np.where(others[..., None], BACKWARD * np.abs(terms) + smallest, 0)
    for gradient, at in zip(grads, (inverse, np.indices(inverse.shape)[1]), strict=True):
        expected, bound = np.zeros_like(gradient), np.zeros_like(gradient)
        np.add.at(expected, at, terms)
        np.add.at(bound, at, error)
        assert (np.abs(gradient - expected) <= bound).all()


def test_a_text_with_places_depends_on_nothing_else():
    """Neither on other texts nor on padding, nor on what rows and places hold that it lacks."""
    rng = np.random.default_rng(0)
    u = rng.standard_normal((6, 4)).astype(np.float32)
    places = rng.standard_normal((5, 4)).astype(np.float32)
    u[5], places[[0, 4]] = np.nan, np.inf
    inverse = np.array([[0, 1, 2, 2, 5], [3, 0, 0, 5, 5]])
    others = np.array([[0, 1, 1, 1, 0], [0, 1, 1, 0, 0]], bool)
    ones = np.ones((2, 4), np.float32)
    r, *grads = PLACED["jit"](u, places, inverse, others, ones)
    alone, *_ = PLACED["jit"](u, places[:3], inverse[1:, :3], others[1:, :3], ones[1:])
    np.testing.assert_allclose(r[1:], alone, rtol=FORWARD)
    np.testing.assert_allclose(r[1], oracle.norm(u[0] + places[1:3]), rtol=FORWARD)
    assert all(np.isfinite(grad).all() for grad in grads)
    none, *grads = PLACED["jit"](u, places, inverse, others & False, ones)
    for zero in (none, *grads):
        np.testing.assert_array_equal(zero, 0)


@pytest.mark.parametrize("run", sorted(RUNS))
def test_it_is_the_first_row_of_the_leave_one_out_norm(run):
    u = np.random.default_rng(0).standard_normal((30, 8)).astype(np.float32)
    inverse, mask = np.arange(30)[None], np.arange(30)[None] < 20
    others = ops.others_of_first(jnp.asarray(mask))
    r, _ = RUNS[run](u, inverse, others, np.ones((1, 8), np.float32))
    whole = ops.leave_one_out_norm(u, mask=mask[0])
    np.testing.assert_allclose(r[0], whole[0], rtol=FORWARD)


@pytest.mark.parametrize("run", sorted(RUNS))
def test_texts_of_very_different_size_share_a_batch(run):
    """Down to the limit that the docstring states: 1e-18 of the largest in a dimension."""
    u = np.array([[1e20], [1e2], [2e2]], np.float32)
    inverse = np.array([[0, 0, 1], [0, 1, 2]])
    others = np.array([[False, True, False], [False, True, True]])
    r, grad = RUNS[run](u, inverse, others, np.ones((2, 1), np.float32))
    np.testing.assert_allclose(r[:, 0], [1e20, np.hypot(1e2, 2e2)], rtol=FORWARD)
    expected = [1, 1 / np.sqrt(5), 2 / np.sqrt(5)]
    np.testing.assert_allclose(grad[:, 0], expected, rtol=BACKWARD)


@pytest.mark.parametrize("run", sorted(RUNS))
@pytest.mark.parametrize("hostile", [3e38, np.inf, np.nan])
def test_rows_that_occur_nowhere_have_no_influence(run, hostile):
    u = np.array([[3.0], [4.0], [hostile]], np.float32)
    inverse, others = np.array([[2, 0, 1]]), np.array([[False, True, True]])
    r, grad = RUNS[run](u, inverse, others, np.ones((1, 1), np.float32))
    np.testing.assert_array_equal(r, [[5.0]])
    np.testing.assert_allclose(grad[:, 0], [0.6, 0.8, 0.0])


def test_zero_is_the_subgradient_without_others():
    u, nothing = jnp.ones((2, 4)), jnp.zeros((1, 3), bool)
    for inverse in (jnp.zeros((1, 3), jnp.int32), jnp.ones((1, 3), jnp.int32)):
        value, grad = jax.value_and_grad(
            lambda u, i=inverse: ops.first_token_norm(u, i, nothing).sum()
        )(u)
        assert value == 0
        np.testing.assert_array_equal(grad, jnp.zeros((2, 4)))


@pytest.mark.parametrize("modes", [["rev"], pytest.param(["fwd"], marks=pytest.mark.slow)])
def test_derivatives_to_second_order(modes):
    u = np.random.default_rng(1).standard_normal((2, 5, 3))
    inverse, mask = texts_of(5, seed=2)
    places = np.random.default_rng(3).standard_normal((10, 3))
    with jax.enable_x64(True):
        for f in (
            lambda u: ops.first_token_norm(u, inverse[:-1], mask[:-1]),
            lambda u: ops.first_token_norm(u, inverse[:-1], mask[:-1], u[:, :1] * places),
            lambda u: ops.sum_by_counts(u, inverse, mask) ** 2,
            lambda u: ops.norm_from_squares(*(x.sum(-2) for x in ops.scaled_squares(u))),
        ):
            # Central differences in float64 with step 1e-5 leave about 1e-6 after two orders.
            check_grads(f, (jnp.asarray(u),), order=2, modes=modes, atol=1e-4, rtol=1e-4, eps=1e-5)


def test_leading_axes_and_vmap_agree():
    u = np.random.default_rng(1).standard_normal((3, 5, 4)).astype(np.float32)
    inverse, others = texts_of(5, seed=2)
    places = np.random.default_rng(3).standard_normal((10, 4)).astype(np.float32)

    def placed(x, inverse, others):
        shape = (*x.shape[:-2], *places.shape)
        return ops.first_token_norm(x, inverse, others, jnp.broadcast_to(places, shape))

    for f in (ops.first_token_norm, ops.sum_by_counts, placed):
        loop = np.stack([f(x, inverse, others) for x in u])
        np.testing.assert_allclose(f(u, inverse, others), loop, rtol=1e-6, atol=1e-6)
        mapped = jax.vmap(lambda x, f=f: f(x, inverse, others))(u)
        np.testing.assert_allclose(mapped, loop, rtol=1e-6, atol=1e-6)


def test_half_precision_is_summed_in_float32():
    u = jnp.full((1, 1), 0.1, jnp.bfloat16)
    inverse, others = np.zeros((1, 3000), int), np.arange(3000)[None] > 0
    r = ops.first_token_norm(u, inverse, others)
    assert r.dtype == jnp.bfloat16
    placed = ops.first_token_norm(u, inverse, others, jnp.zeros((3000, 1), jnp.bfloat16))
    assert placed.dtype == jnp.bfloat16
    expected, rtol = np.sqrt(2999) * float(u[0, 0]), float(jnp.finfo(jnp.bfloat16).eps)
    np.testing.assert_allclose([float(r[0, 0]), float(placed[0, 0])], expected, rtol=rtol)


@pytest.mark.parametrize("scale", [1e-30, 1.0, 1e30])
def test_squares_add_up_to_norms_at_any_scale(scale):
    u = (scale * np.random.default_rng(0).standard_normal((50, 6))).astype(np.float32)
    squares, power = jax.jit(ops.scaled_squares)(u)
    assert squares.max() < 4
    np.testing.assert_array_equal(np.frexp(power)[0], 0.5)
    got = ops.norm_from_squares(squares.sum(axis=0), power)
    np.testing.assert_allclose(got[0], oracle.norm(u), rtol=FORWARD)
    nothing = jax.grad(lambda total: ops.norm_from_squares(total, power).sum())(jnp.zeros(6))
    np.testing.assert_array_equal(nothing, 0)


def test_others_share_the_scope_of_the_first():
    mask = jnp.array([[True, True, True, True, False]])
    segments = jnp.array([[1, 1, 2, 1, 0]])
    np.testing.assert_array_equal(ops.others_of_first(mask), [[0, 1, 1, 1, 0]])
    np.testing.assert_array_equal(ops.others_of_first(mask, segments), [[0, 1, 0, 1, 0]])


@pytest.mark.parametrize(
    ("arguments", "error", "text"),
    [
        ((np.ones((2, 2), int), [[0]], [[True]]), TypeError, "must be a real floating-point array"),
        ((np.ones(2), [[0]], [[True]]), ValueError, r"got shapes \(2,\), \(1, 1\)"),
        ((np.ones((2, 2)), [[0.5]], [[True]]), TypeError, "inverse must be an array of integer"),
        ((np.ones((2, 2)), [[0]], [[1.0]]), TypeError, "the mask must be an array of bool"),
        ((np.ones((2, 2)), [[0]], [[True, True]]), ValueError, "a mask of the same shape"),
    ],
)
def test_wrong_arguments_are_named(arguments, error, text):
    for function in (ops.first_token_norm, ops.sum_by_counts):
        with pytest.raises(error, match=text):
            function(*map(np.asarray, arguments))


@pytest.mark.parametrize(
    ("places", "error", "text"),
    [
        (np.ones((3, 2), int), TypeError, "places must be a real floating-point array"),
        (np.ones((1, 2)), ValueError, r"shape \(3, 2\), got \(1, 2\)"),
    ],
)
def test_wrong_places_are_named(places, error, text):
    with pytest.raises(error, match=text):
        ops.first_token_norm(np.ones((2, 2)), np.zeros((1, 3), int), np.ones((1, 3), bool), places)
