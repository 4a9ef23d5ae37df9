"""Products as matrices: the same numbers as a contraction, in float32 and in bfloat16."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from wave_jax.models.wave_layer import bfloat16_product, contract_last
from wave_jax.training.compilation import matmul_precision

LAST_WITH_FIRST = (((2,), (0,)), ((), ()))


@pytest.fixture(scope="module")
def arrays():
    rng = np.random.default_rng(0)
    return [rng.standard_normal(shape, np.float32) for shape in ((3, 5, 8), (8, 2, 4))]


def test_it_is_the_contraction(arrays):
    with matmul_precision("float32"):
        found = contract_last(*arrays, LAST_WITH_FIRST)
    np.testing.assert_allclose(found, np.tensordot(*arrays, 1), rtol=1e-5, atol=1e-5)
    with pytest.raises(ValueError, match="expected contraction over"):
        contract_last(*arrays, (((1,), (0,)), ((), ())))


def test_bfloat16_rounds_the_operands_and_sums_in_float32(arrays):
    """Exact up to float32 sums, once the operands are rounded; the gradient likewise."""
    x, w = arrays[0].reshape(15, 8), arrays[1].reshape(8, 8)
    grad = np.random.default_rng(1).standard_normal((15, 8)).astype(np.float32)
    out, pull = jax.vjp(bfloat16_product, x, w)
    narrow = [np.asarray(jnp.asarray(a, jnp.bfloat16), np.float64) for a in (x, w, grad)]
    assert out.dtype == jnp.float32
    tolerance = {"rtol": 1e-5, "atol": 1e-5}  # 15 terms of about 1 in float32
    np.testing.assert_allclose(out, narrow[0] @ narrow[1], **tolerance)
    for got, expected in zip(
        pull(grad), (narrow[2] @ narrow[1].T, narrow[0].T @ narrow[2]), strict=True
    ):
        assert got.dtype == jnp.float32
        np.testing.assert_allclose(got, expected, **tolerance)


def test_the_precision_asked_for_decides(arrays):
    with matmul_precision("bfloat16"):
        low = contract_last(*arrays, LAST_WITH_FIRST)
    exact = np.tensordot(*arrays, 1)
    # operands rounded to 8 bits: 2^-9 of 8 products of about 1
    assert 1e-4 < np.abs(low - exact).max() < 0.05
