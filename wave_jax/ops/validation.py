"""What the functions of `wave_jax.ops` accept, and what padding means to them."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array

from wave_jax.errors import nearest
from wave_jax.ops.scope import Mask, Segments, Tokens

_COMPANIONS: dict[str, tuple[DTypeLike, str]] = {
    "mask": (jnp.bool_, "an array of bool, True at real tokens"),
    "segment_ids": (jnp.integer, "an array of integer, 0 at padding"),
}


def check_tokens(u: Any, mask: Any = None, segment_ids: Any = None, name: str = "u") -> None:
    """Raises TypeError or ValueError unless the arguments describe tokens [..., n, d]."""
    check_real(u, name)
    shape = jnp.shape(u)
    if len(shape) < 2:
        raise ValueError(f"{name} must be [..., n tokens, d dimensions], got shape {shape}")
    if mask is not None and segment_ids is not None:
        raise ValueError("pass mask or segment_ids, not both: segment id 0 says what is padding")
    for x, label in ((mask, "mask"), (segment_ids, "segment_ids")):
        if x is not None:
            _check_dtype(x, label, *_COMPANIONS[label])
            if jnp.shape(x) != shape[:-1]:
                raise ValueError(
                    f"{label} must have the tokens' shape {shape[:-1]}, got {jnp.shape(x)}"
                )


def check_texts(u: Any, inverse: Any, mask: Any) -> None:
    """Raises TypeError or ValueError unless u[inverse] are the tokens of texts [b, n]."""
    check_real(u, "the distinct rows")
    if jnp.ndim(u) < 2 or jnp.ndim(inverse) != 2:
        raise ValueError(
            "expected distinct rows [..., m, d] and inverse [b texts, n tokens], "
            f"got shapes {jnp.shape(u)} and {jnp.shape(inverse)}"
        )
    _check_dtype(inverse, "inverse", jnp.integer, "an array of integer, the row of each token")
    _check_dtype(mask, "the mask", *_COMPANIONS["mask"])
    check_pair(inverse, mask, ("inverse", "the mask"))


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


def keep(x: Tokens, mask: Mask | None, segment_ids: Segments | None) -> Tokens:
    """Returns `x` with zeros at padding, whatever (NaN, too) stood there."""
    if mask is None and segment_ids is None:
        return x
    real = jnp.asarray(mask) if segment_ids is None else jnp.asarray(segment_ids) > 0
    return jnp.where(real[..., None], x, 0)


def _check_dtype(x: Any, name: str, kind: DTypeLike, expected: str) -> None:
    dtype = getattr(x, "dtype", None)
    if dtype is None or not jnp.issubdtype(dtype, kind):
        came = f"dtype {dtype}" if dtype is not None else type(x).__name__
        raise TypeError(f"{name} must be {expected}, got {came}")
