"""What the functions of `wave_jax.ops` accept, and what padding means to them.

Shapes, here and in the other modules of `wave_jax.ops`: `*b` any number of leading axes, `n`
tokens, `d` dimensions.
"""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Bool, Float, Int

from wave_jax.errors import nearest

Mask = Bool[Array, "*b n"]
Segments = Int[Array, "*b n"]
Tokens = Float[Array, "*b n d"]

_KINDS: dict[str, tuple[DTypeLike, str]] = {
    "real": (jnp.floating, "a real floating-point array"),
    "complex": (jnp.complexfloating, "a complex array"),
    "inverse": (jnp.integer, "an array of integer, the row of each token"),
    "mask": (jnp.bool_, "an array of bool, True at real tokens"),
    "segment_ids": (jnp.integer, "an array of integer, 0 at padding"),
}


def checked_tokens(
    u: Any, mask: Mask | None, segment_ids: Segments | None, name: str = "u"
) -> Tokens:
    """Returns tokens [..., n, d] in the dtype of sums, 0 at padding; TypeError or ValueError."""
    check_kind(u, name, "real")
    shape = jnp.shape(u)
    if len(shape) < 2:
        raise ValueError(f"{name} must be [..., n tokens, d dimensions], got shape {shape}")
    if mask is not None and segment_ids is not None:
        raise ValueError("pass mask or segment_ids, not both: segment id 0 says what is padding")
    label, given = ("mask", mask) if segment_ids is None else ("segment_ids", segment_ids)
    if given is not None:
        check_kind(given, label, label)
        if (came := jnp.shape(given)) != shape[:-1]:
            raise ValueError(f"{label} must have the tokens' shape {shape[:-1]}, got {came}")
    return keep(jnp.asarray(u).astype(compute_dtype(u)), mask, segment_ids)


def check_texts(u: Any, inverse: Any, mask: Any) -> None:
    """Raises TypeError or ValueError unless u[inverse] are the tokens of texts [b, n]."""
    check_kind(u, "the distinct rows", "real")
    check_kind(inverse, "inverse", "inverse")
    check_kind(mask, "the mask", "mask")
    shapes = [jnp.shape(x) for x in (u, inverse, mask)]
    if len(shapes[0]) < 2 or len(shapes[1]) != 2 or shapes[1] != shapes[2]:
        raise ValueError(
            "expected distinct rows [..., m, d], inverse [b texts, n tokens] and a mask of the "
            f"same shape, got shapes {shapes[0]}, {shapes[1]} and {shapes[2]}"
        )


def check_alike(kind: str, **arrays: Any) -> None:
    """Raises TypeError unless the arrays are of a kind, ValueError unless of one shape."""
    for name, x in arrays.items():
        check_kind(x, name, kind)
    shapes = [jnp.shape(x) for x in arrays.values()]
    if len(set(shapes)) > 1:
        names, came = " and ".join(arrays), " and ".join(map(str, shapes))
        raise ValueError(f"{names} must have the same shape, got {came}")


def check_kind(x: Any, name: str, kind: str) -> None:
    """Raises TypeError unless `x` is an array of a kind."""
    wanted, expected = _KINDS[kind]
    dtype = getattr(x, "dtype", None)
    if dtype is None or not jnp.issubdtype(dtype, wanted):
        came = f"dtype {dtype}" if dtype is not None else type(x).__name__
        raise TypeError(f"{name} must be {expected}, got {came}")


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
