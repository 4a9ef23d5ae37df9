"""Products of tokens with a kernel, as products of two matrices.

A kernel [d, 2, d] contracted as it stands is copied, with its gradient, into another order before
and after every product; matrices are not. Where bfloat16 products are asked for
(`wave_jax.training.compilation.matmul_precision`), operands are rounded to bfloat16 and sums kept
in float32, in the backward pass too; asking the compiler alone leaves CPUs at float32's speed.
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
from jax.experimental.layout import Layout, with_layout_constraint
from jaxtyping import Array, Float

BFLOAT16_PRODUCTS = "BF16_BF16_F32"
"""JAX's name of a product of bfloat16 operands summed in float32."""

_ROW_MAJOR = Layout((0, 1))


def contract_last(
    x: Array,
    kernel: Array,
    dimension_numbers: Any,
    precision: Any = None,
    preferred_element_type: Any = None,
) -> Array:
    """Returns x [..., k] contracted with kernel [k, ...]: `jax.lax.dot_general` for this one case.

    >>> contract_last(jnp.ones((5, 3)), jnp.ones((3, 2, 4)), (((1,), (0,)), ((), ()))).shape
    (5, 2, 4)
    """
    expected = ((x.ndim - 1,), (0,))
    if tuple(map(tuple, dimension_numbers[0])) != expected:
        raise ValueError(f"expected contraction over {expected}, got {dimension_numbers[0]}")
    left, right = x.reshape(-1, x.shape[-1]), kernel.reshape(kernel.shape[0], -1)
    asked_for = jax.config.jax_default_matmul_precision  # type: ignore[attr-defined]
    if precision is None and asked_for == BFLOAT16_PRODUCTS and left.dtype == jnp.float32:
        flat = bfloat16_product(left, right)
    else:
        kind = preferred_element_type
        flat = jnp.dot(left, right, precision=precision, preferred_element_type=kind)
    return flat.reshape(*x.shape[:-1], *kernel.shape[1:])


@jax.custom_vjp
def bfloat16_product(x: Float[Array, "m k"], w: Float[Array, "k n"]) -> Float[Array, "m n"]:
    """Returns x w with operands rounded to bfloat16 and sums in float32; float32 [m, n]."""
    return _product(_narrow(x), _narrow(w))


def _forward(x: Array, w: Array) -> tuple[Array, tuple[Array, Array]]:
    narrow = _narrow(x), _narrow(w)
    return _product(*narrow), narrow


def _backward(kept: tuple[Array, Array], grad: Array) -> tuple[Array, Array]:
    (x, w), grad = kept, _narrow(grad)
    return _product(grad, _transposed(w)), _product(_transposed(x), grad)


bfloat16_product.defvjp(_forward, _backward)


def _narrow(x: Array) -> Array:
    return x.astype(jnp.bfloat16)


def _product(x: Array, y: Array) -> Array:
    return jnp.dot(x, y, precision="default", preferred_element_type=jnp.float32)


@jax.jit
def _transposed(x: Array) -> Array:
    """Returns the transpose; on a CPU as a copy, which quick products need and which costs less."""
    if jax.default_backend() != "cpu":
        return x.T
    return with_layout_constraint(x.T, _ROW_MAJOR)
