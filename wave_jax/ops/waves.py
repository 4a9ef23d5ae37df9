"""Tokens as complex waves: magnitude and phase, real and imaginary part (eq. 2)."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jaxtyping import Array, Complex, Float

from wave_jax.ops.norms import leave_one_out_norm, ratio
from wave_jax.ops.validation import Mask, Segments, Tokens, check_kind, checked_tokens

Waves = Complex[Array, "*b n d"]


def phase(u: Tokens, *, mask: Mask | None = None, segment_ids: Segments | None = None) -> Tokens:
    """Returns the phase alpha = arctan2(r/G, u/G) of each token, its local semantics (eq. 2).

    Arguments as for `magnitude`.

    Returns:
      [..., n, d] in radians, in [0, pi], in the dtype of `u`; 0 at padding and where a dimension is
      0 throughout the scope (G = 0). There, and where r = 0, derivatives are those of
      `leave_one_out_norm` and finite.

    >>> phase(jnp.array([[1.0], [0.0]])).T  # the first token is all there is, the second nothing
    Array([[0.       , 1.5707964]], dtype=float32)
    """
    real, rest = wave_parts(u, mask, segment_ids)
    return angle(real, rest).astype(u.dtype)


def token_to_wave(
    u: Tokens, *, mask: Mask | None = None, segment_ids: Segments | None = None
) -> Waves:
    """Returns the wave Z = G exp(i alpha) = u + i r of each token (eq. 2).

    The real part is the token's own share of a dimension, the imaginary part everything else in
    that dimension. Arguments as for `magnitude`.

    Returns:
      complex [..., n, d]: complex64, or complex128 for float64; 0 at padding.

    >>> token_to_wave(jnp.array([[3.0], [4.0]])).T
    Array([[3.+4.j, 4.+3.j]], dtype=complex64)
    """
    return jax.lax.complex(*wave_parts(u, mask, segment_ids))


def from_polar(magnitude: Float[Array, "..."], phase: Float[Array, "..."]) -> Complex[Array, "..."]:
    """Returns the wave G exp(i alpha) (eq. 2), in complex64, or complex128 for float64.

    The magnitude is of any shape that broadcasts with `phase`, such as `ops.magnitude` gives.

    >>> from_polar(jnp.array([2.0]), jnp.array([jnp.pi / 2])).imag
    Array([2.], dtype=float32)
    """
    check_kind(magnitude, "magnitude", "real")
    check_kind(phase, "phase", "real")
    dtype = jnp.promote_types(jnp.promote_types(magnitude.dtype, phase.dtype), jnp.float32)
    magnitude, phase = magnitude.astype(dtype), phase.astype(dtype)
    return jax.lax.complex(magnitude * jnp.cos(phase), magnitude * jnp.sin(phase))


def to_polar(wave: Complex[Array, "..."]) -> tuple[Float[Array, "..."], Float[Array, "..."]]:
    """Returns (magnitude, phase) of a wave; the inverse of `from_polar`.

    The phase is in (-pi, pi]. Both have derivative 0 at 0, so gradients stay finite.

    >>> to_polar(jnp.array([2j]))
    (Array([2.], dtype=float32), Array([1.5707964], dtype=float32))
    """
    check_kind(wave, "wave", "complex")
    return modulus(wave.real, wave.imag), angle(wave.real, wave.imag)


@jax.custom_jvp
def modulus(x: Float[Array, "..."], y: Float[Array, "..."]) -> Float[Array, "..."]:
    """Returns sqrt(x^2 + y^2) without overflow; derivative 0 (a subgradient) at the origin."""
    return jnp.hypot(x, y)


@modulus.defjvp
def _modulus_jvp(primals: tuple, tangents: tuple) -> tuple[Array, Array]:
    (x, y), (dx, dy) = primals, tangents
    cosine, sine = _direction(x, y)
    return modulus(x, y), cosine * dx + sine * dy


@jax.custom_jvp
def angle(x: Float[Array, "..."], y: Float[Array, "..."]) -> Float[Array, "..."]:
    """Returns arctan2(y, x); 0 with derivative 0 at the origin, whatever the signs of its zeros."""
    return jnp.where((x == 0) & (y == 0), 0, jnp.arctan2(y, x))


@angle.defjvp
def _angle_jvp(primals: tuple, tangents: tuple) -> tuple[Array, Array]:
    (x, y), (dx, dy) = primals, tangents
    cosine, sine = _direction(x, y)
    inverse = ratio(1, modulus(x, y))
    return angle(x, y), cosine * (dy * inverse) - sine * (dx * inverse)


def wave_parts(
    u: Tokens, mask: Mask | None, segment_ids: Segments | None, name: str = "u"
) -> tuple[Tokens, Tokens]:
    """Returns a wave's real and imaginary part in the dtype of computation."""
    real = checked_tokens(u, mask, segment_ids, name)
    return real, leave_one_out_norm(real, mask=mask, segment_ids=segment_ids)


def _direction(x: Array, y: Array) -> tuple[Array, Array]:
    """Returns the cosine and sine of the angle, (0, 0) at the origin."""
    length = modulus(x, y)
    return ratio(x, length), ratio(y, length)
