"""What the functions of `wave_jax.ops` accept, and what padding means to them."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Bool, Float

from wave_jax.errors import nearest
from wave_jax.ops.scope import Mask, Segments, Tokens


def check_tokens(u: Any, mask: Any = None, segment_ids: Any = None, name: str = "u") -> None:
    """Raises TypeError or ValueError unless the arguments describe tokens [..., n, d]."""
    check_real(u, name)
    if jnp.ndim(u) < 2:
        raise ValueError(f"{name} must be [..., n tokens, d dimensions], got shape {jnp.shape(u)}")
    if mask is not None and segment_ids is not None:
        raise ValueError(
            "pass mask or segment_ids, not both: segment id 0 already says what is padding"
        )
    if mask is not None:
        _check_companion(mask, u, "mask", jnp.bool_, "bool, True at real tokens")
    if segment_ids is not None:
        _check_companion(segment_ids, u, "segment_ids", jnp.integer, "integer, 0 at padding")


def check_inverse(rows: Any, inverse: Any, kept: Any) -> None:
    """Raises TypeError or ValueError unless texts [b, n] are given by `inverse` and a mask."""
    if jnp.ndim(rows) < 2 or jnp.ndim(inverse) != 2:
        raise ValueError(
            "expected rows [..., m, d] and inverse [b texts, n tokens], got shapes "
            f"{jnp.shape(rows)} and {jnp.shape(inverse)}"
        )
    _check_dtype(inverse, "inverse", jnp.integer, "an array of integer, the row of each token")
    _check_dtype(kept, "the mask", jnp.bool_, "an array of bool")
    check_pair(inverse, kept, ("inverse", "the mask"))


def check_real(x: Any, name: str) -> None:
    """Raises TypeError unless `x` is a real floating-point array."""
    _check_dtype(x, name, jnp.floating, "a real floating-point array")


def check_complex(x: Any, name: str) -> None:
    """Raises TypeError unless `x` is a complex array."""
    _check_dtype(x, name, jnp.complexfloating, "a complex array")


def check_pair(x: Any, y: Any, names: tuple[str, str]) -> None:
    """Raises ValueError unless both arrays have one shape."""
    if jnp.shape(x) != jnp.shape(y):
        raise ValueError(
            f"{names[0]} and {names[1]} must have the same shape, "
            f"got {jnp.shape(x)} and {jnp.shape(y)}"
        )


def check_choice(value: str, options: tuple[str, ...], name: str) -> None:
    """Raises ValueError, naming the nearest option, unless `value` is one of `options`."""
    if value not in options:
        listed = ", ".join(repr(option) for option in options)
        raise ValueError(
            f"{name} must be one of {listed}, got {value!r}{nearest(str(value), options)}"
        )


def compute_dtype(u: Array) -> DTypeLike:
    """Returns the dtype of sums and norms: float32, or float64 for float64."""
    return jnp.promote_types(u.dtype, jnp.float32)


def zero_padding(u: Tokens, mask: Mask | None, segment_ids: Segments | None) -> Tokens:
    """Returns `u` as an array with zeros at padding, whatever (NaN, too) stood there."""
    return keep(jnp.asarray(u), mask, segment_ids)


def keep(x: Tokens, mask: Mask | None, segment_ids: Segments | None) -> Tokens:
    """Returns `x` with zeros at padding."""
    real = _real_tokens(mask, segment_ids)
    return x if real is None else jnp.where(real, x, 0)


def _real_tokens(mask: Mask | None, segment_ids: Segments | None) -> Bool[Array, "*b n 1"] | None:
    if mask is not None:
        return jnp.asarray(mask)[..., None]
    if segment_ids is not None:
        return (jnp.asarray(segment_ids) > 0)[..., None]
    return None


def _check_companion(
    x: Any, u: Float[Array, "*b n d"], name: str, kind: DTypeLike, meaning: str
) -> None:
    _check_dtype(x, name, kind, f"an array of {meaning}")
    if jnp.shape(x) != jnp.shape(u)[:-1]:
        raise ValueError(
            f"{name} must have the tokens' shape {jnp.shape(u)[:-1]}, got {jnp.shape(x)}"
        )


def _check_dtype(x: Any, name: str, kind: DTypeLike, expected: str) -> None:
    dtype = getattr(x, "dtype", None)
    if dtype is None or not jnp.issubdtype(dtype, kind):
        came = f"dtype {dtype}" if dtype is not None else type(x).__name__
        raise TypeError(f"{name} must be {expected}, got {came}")
