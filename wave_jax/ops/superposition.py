"""How two waves meet, and how the result is read: the operations of the Wave Network (eq. 3 to 8).

To add an operation: its name in `Superposition`, its function on (real, imaginary) parts in
`_OPERATIONS`, its complex form beside `interfere` and `modulate`; then the norms of its Jacobian in
`probe.coupling`, and `superposed` in probe/assets/data.js, which draws it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, TypeAlias, get_args

import jax.numpy as jnp
from jaxtyping import Array, Float

from wave_jax.ops.validation import Mask, Segments, Tokens, check_alike, check_choice, compute_dtype
from wave_jax.ops.waves import Waves, angle, modulus, wave_parts

Superposition: TypeAlias = Literal["interference", "modulation"]
ReadoutKind: TypeAlias = Literal["real", "imag", "magnitude", "phase"]
SegmentPair: TypeAlias = tuple[Segments | None, Segments | None]
Scope: TypeAlias = tuple[Mask | None, Segments | None]
Parts: TypeAlias = tuple[Float[Array, "..."], Float[Array, "..."]]
"""A wave's real and imaginary part."""


def _interference(first: Parts, second: Parts) -> Parts:
    (a, r), (b, s) = first, second
    return a + b, r + s


def _modulation(first: Parts, second: Parts) -> Parts:
    (a, r), (b, s) = first, second
    return a * b - r * s, a * s + r * b


_OPERATIONS: dict[Superposition, Callable[[Parts, Parts], Parts]] = {
    "interference": _interference,
    "modulation": _modulation,
}


def superpose(
    u1: Tokens,
    u2: Tokens,
    op: Superposition,
    *,
    mask: Mask | None = None,
    segment_ids: Segments | SegmentPair | None = None,
) -> tuple[Tokens, Tokens]:
    """Returns real and imaginary part of two variants' waves, superposed (eq. 3, 4 and 6, 7).

    With Z = u1 + i r1 and Z' = u2 + i r2, r the leave-one-out norm of each variant:

        interference  Z + Z' = (u1 + u2)       + i (r1 + r2)
        modulation    Z Z'   = (u1 u2 - r1 r2) + i (u1 r2 + r1 u2)

    The same as `interfere` and `modulate` on `token_to_wave`, without a complex array.

    Args:
      u1, u2: the variants, [..., n, d], floating point, of one shape and dtype.
      op: the operation.
      mask, segment_ids: as for `magnitude`. A pair of segment_ids gives each variant its own scopes
        (None: the whole text, padding being the other's).

    Returns:
      (real, imag), each [..., n, d] in the dtype of `u1`, 0 at padding.

    >>> u = jnp.array([[3.0], [4.0]])
    >>> real, imag = superpose(u, u, "modulation")  # (3 + 4i)^2 and (4 + 3i)^2
    >>> real.T, imag.T
    (Array([[-7.,  7.]], dtype=float32), Array([[24., 24.]], dtype=float32))
    """
    scopes = branch_scopes(mask, segment_ids)
    first, second = wave_parts(u1, *scopes[0], "u1"), wave_parts(u2, *scopes[1], "u2")
    check_alike("real", u1=u1, u2=u2)
    real, imag = superpose_parts(first, second, op)
    return real.astype(u1.dtype), imag.astype(u1.dtype)


def superpose_parts(first: Parts, second: Parts, op: Superposition) -> Parts:
    """Returns (real, imag) of two waves, each given as such a pair, superposed.

    >>> superpose_parts((3.0, 4.0), (4.0, 3.0), "interference")
    (7.0, 7.0)
    """
    check_choice(op, get_args(Superposition), "op")
    return _OPERATIONS[op](first, second)


def interfere(z1: Waves, z2: Waves) -> Waves:
    """Returns the interference Z + Z' of two waves (eq. 3).

    >>> interfere(jnp.array([1 + 1j]), jnp.array([1 - 1j]))
    Array([2.+0.j], dtype=complex64)
    """
    check_alike("complex", z1=z1, z2=z2)
    return z1 + z2


def modulate(z1: Waves, z2: Waves) -> Waves:
    """Returns the modulation Z Z': magnitudes multiply, phases add (eq. 6-7).

    >>> modulate(jnp.array([2j]), jnp.array([3j]))
    Array([-6.+0.j], dtype=complex64)
    """
    check_alike("complex", z1=z1, z2=z2)
    return z1 * z2


def interference_term(z1: Waves, z2: Waves) -> Float[Array, "*b n d"]:
    """Returns 2 Re(Z conj(Z')) = 2 G G' cos(alpha - alpha') (eq. 5).

    Positive where the waves reinforce each other, negative where they cancel:
    |Z + Z'|^2 = |Z|^2 + |Z'|^2 + this term.

    >>> interference_term(jnp.array([1 + 0j, 1j]), jnp.array([1 + 0j, -1j]))
    Array([ 2., -2.], dtype=float32)
    """
    check_alike("complex", z1=z1, z2=z2)
    return 2 * (z1.real * z2.real + z1.imag * z2.imag)


def readout(
    real: Float[Array, "*b n d"], imag: Float[Array, "*b n d"], kind: ReadoutKind
) -> Tokens:
    """Returns the real embedding that a superposed wave is read as (the map g of eq. 8).

    The wave's 'real' or 'imag' part, its 'magnitude' |Z|, or its 'phase' in radians, in (-pi, pi].
    Magnitude and phase are 0 with derivative 0 where the wave is 0.

    >>> readout(jnp.array([[3.0]]), jnp.array([[4.0]]), "magnitude")
    Array([[5.]], dtype=float32)
    """
    check_choice(kind, get_args(ReadoutKind), "kind")
    check_alike("real", real=real, imag=imag)
    if kind in ("real", "imag"):
        return real if kind == "real" else imag
    dtype, read = compute_dtype(real), modulus if kind == "magnitude" else angle
    return read(real.astype(dtype), imag.astype(dtype)).astype(real.dtype)


def branch_scopes(
    mask: Mask | None, segment_ids: Segments | SegmentPair | None
) -> tuple[Scope, Scope]:
    """Returns the mask and segment ids of each variant."""
    if not isinstance(segment_ids, tuple):
        return (mask, segment_ids), (mask, segment_ids)
    if len(segment_ids) != 2:
        raise ValueError(f"segment_ids must be one array or a pair, got {len(segment_ids)} of them")
    first, second = segment_ids
    if mask is not None:
        return (mask, first), (mask, second)
    # A variant that spans the whole text takes its padding from the other's segments.
    real = [None if ids is None else jnp.asarray(ids) > 0 for ids in segment_ids]
    scope1 = (real[1], None) if first is None else (None, first)
    scope2 = (real[0], None) if second is None else (None, second)
    return scope1, scope2
