"""Masks, segments, batches: what does not belong to a text's scope has no say in it."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests import oracle
from wave_jax import ops

PER_TOKEN = {
    "magnitude": (ops.magnitude, oracle.magnitude),
    "leave_one_out_norm": (ops.leave_one_out_norm, oracle.leave_one_out),
    "phase": (ops.phase, oracle.phase),
    "token_to_wave": (ops.token_to_wave, oracle.wave),
}
MASK = np.array([True, True, False, True, True, False, False])
SEGMENTS = np.array([2, 1, 0, 2, 1, 0, 7])
# A phase near 0 is a ratio whose float32 error is absolute, in units of its range.
TOLERANCE = {"rtol": 2e-6, "atol": 2e-6}


@pytest.fixture
def u():
    return np.random.default_rng(3).standard_normal((7, 5)).astype(np.float32)


@pytest.fixture(params=[False, True], ids=["eager", "jit"])
def run(request):
    return jax.jit if request.param else lambda f: f


@pytest.mark.parametrize("name", sorted(PER_TOKEN))
def test_masks_and_segments_match_the_oracle(name, u, run):
    function, expected = PER_TOKEN[name]
    got = run(lambda u: function(u, mask=MASK))(u)
    wanted = expected(u, MASK)
    if name == "magnitude":
        wanted = wanted[:1]
    np.testing.assert_allclose(got, wanted, **TOLERANCE)
    got = run(lambda u: function(u, segment_ids=SEGMENTS))(u)
    np.testing.assert_allclose(got, expected(u, None, SEGMENTS), **TOLERANCE)


@pytest.mark.parametrize("name", sorted(PER_TOKEN))
def test_padding_and_its_order_change_nothing(name, u, run):
    function, _ = PER_TOKEN[name]
    alone = run(function)(u[MASK])
    hostile = np.where(MASK[:, None], u, np.nan)  # whatever stands at padding
    padded = run(lambda u: function(u, mask=MASK))(hostile)
    kept = padded if name == "magnitude" else np.asarray(padded)[MASK]
    np.testing.assert_array_equal(kept, alone)
    if name != "magnitude":
        assert (np.asarray(padded)[~MASK] == 0).all()


def test_gradients_at_padding_are_zero_and_others_unchanged(u):
    def loss(u, **kwargs):
        real, imag = ops.superpose(u, u + 1, "modulation", **kwargs)
        return jnp.sum(jnp.sin(real) + imag)

    alone = jax.grad(loss)(jnp.asarray(u[MASK]))
    hostile = jnp.where(MASK[:, None], u, jnp.nan)
    padded = np.asarray(jax.grad(loss)(hostile, mask=MASK))
    np.testing.assert_array_equal(padded[~MASK], 0)
    np.testing.assert_allclose(padded[MASK], alone, rtol=1e-5, atol=1e-6)  # float32 sums reordered


@pytest.mark.parametrize("name", sorted(PER_TOKEN))
def test_batches_vmap_and_single_texts_agree(name, u, run):
    function, _ = PER_TOKEN[name]
    texts = np.stack([u, 2 * u[::-1], 0 * u])
    masks = np.stack([MASK, MASK[::-1], np.ones(7, bool)])
    batch = run(lambda u, m: function(u, mask=m))(texts, masks)
    mapped = run(jax.vmap(lambda u, m: function(u, mask=m)))(texts, masks)
    loop = np.stack([function(t, mask=m) for t, m in zip(texts, masks, strict=True)])
    np.testing.assert_allclose(batch, loop, rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(mapped, loop, rtol=1e-6, atol=1e-6)
    by_segments = run(jax.vmap(lambda u: function(u, segment_ids=SEGMENTS)))(texts)
    nested = run(lambda u: function(u, segment_ids=np.stack([[SEGMENTS] * 3])))(texts[None])
    np.testing.assert_allclose(by_segments, nested[0], rtol=1e-6, atol=1e-6)


def test_tokens_can_come_in_any_order(u):
    order = np.random.default_rng(0).permutation(7)
    np.testing.assert_allclose(
        ops.token_to_wave(u[order]), np.asarray(ops.token_to_wave(u))[order], rtol=1e-6
    )


def test_one_segment_is_the_whole_text(u, run):
    whole = run(ops.leave_one_out_norm)(u)
    ones = run(lambda u: ops.leave_one_out_norm(u, segment_ids=np.full(7, 7)))(u)
    np.testing.assert_allclose(ones, whole, rtol=1e-6)


@pytest.mark.parametrize("dtype", [jnp.bfloat16, jnp.float16, jnp.float32])
def test_dtypes_come_back_and_sums_are_in_float32(dtype):
    u = jnp.full((3000, 1), 0.1, dtype)
    r = ops.leave_one_out_norm(u)
    assert r.dtype == dtype
    assert ops.phase(u).dtype == dtype
    assert ops.token_to_wave(u).dtype == jnp.complex64
    # Summed in half precision, the squares would stop growing at a fraction of this.
    expected = np.sqrt(2999) * float(u[0, 0])
    np.testing.assert_allclose(float(r[0, 0]), expected, rtol=float(jnp.finfo(dtype).eps))


def test_float64_is_kept():
    with jax.enable_x64(True):
        u = jnp.asarray(np.random.default_rng(0).standard_normal((9, 2)))
        assert ops.token_to_wave(u).dtype == jnp.complex128
        got = ops.leave_one_out_norm(u)
        np.testing.assert_allclose(got, oracle.leave_one_out(np.asarray(u)), rtol=1e-15 * 10)


@pytest.mark.parametrize(
    ("kwargs", "error", "text"),
    [
        ({"mask": np.ones(6, bool)}, ValueError, r"mask must have the tokens' shape \(7,\), got"),
        ({"mask": np.ones(7)}, TypeError, "mask must be an array of bool.*got dtype float64"),
        ({"segment_ids": np.ones(7)}, TypeError, "segment_ids must be an array of integer"),
        ({"mask": [True] * 7}, TypeError, "got list"),
        ({"mask": MASK, "segment_ids": SEGMENTS}, ValueError, "not both"),
    ],
)
def test_wrong_companions_are_named(u, kwargs, error, text):
    for function, _ in PER_TOKEN.values():
        with pytest.raises(error, match=text):
            function(u, **kwargs)


def test_wrong_tokens_are_named():
    with pytest.raises(TypeError, match="u must be a real floating-point array, got dtype int"):
        ops.phase(np.ones((2, 2), int))
    with pytest.raises(ValueError, match=r"n tokens, d dimensions\], got shape \(3,\)"):
        ops.magnitude(np.ones(3, np.float32))
