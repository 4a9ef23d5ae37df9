"""Rectangular to polar and back, safe at the origin in value and in derivative."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jaxtyping import Array, Complex, Float

from wave_jax.ops.validation import check_complex, check_real


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
    length = modulus(x, y)
    inverse = jnp.where(length > 0, 1 / jnp.where(length > 0, length, 1), 0)
    return angle(x, y), cosine * (dy * inverse) - sine * (dx * inverse)


def from_polar(magnitude: Float[Array, "..."], phase: Float[Array, "..."]) -> Complex[Array, "..."]:
    """Returns the wave G exp(i alpha) (eq. 2), in complex64, or complex128 for float64.

    Args:
      magnitude: G, any shape that broadcasts with `phase`; [..., 1, d] as `ops.magnitude` gives it.
      phase: alpha in radians.

    >>> from_polar(jnp.array([2.0]), jnp.array([jnp.pi / 2])).imag
    Array([2.], dtype=float32)
    """
    check_real(magnitude, "magnitude")
    check_real(phase, "phase")
    dtype = jnp.promote_types(jnp.promote_types(magnitude.dtype, phase.dtype), jnp.float32)
    magnitude, phase = magnitude.astype(dtype), phase.astype(dtype)
    return jax.lax.complex(magnitude * jnp.cos(phase), magnitude * jnp.sin(phase))


def to_polar(
    wave: Complex[Array, "..."],
) -> tuple[Float[Array, "..."], Float[Array, "..."]]:
    """Returns (magnitude, phase) of a wave; the inverse of `from_polar`.

    The phase is in (-pi, pi]. Both have derivative 0 at 0, so gradients stay finite.

    Raises:
      TypeError: `wave` is not complex.

    >>> magnitude, phase = to_polar(jnp.array([2j]))
    >>> magnitude, phase
    (Array([2.], dtype=float32), Array([1.5707964], dtype=float32))
    """
    check_complex(wave, "wave")
    return modulus(wave.real, wave.imag), angle(wave.real, wave.imag)


def _direction(x: Array, y: Array) -> tuple[Array, Array]:
    """Returns the cosine and sine of the angle, (0, 0) at the origin."""
    length = modulus(x, y)
    safe = jnp.where(length > 0, length, 1)
    return jnp.where(length > 0, x / safe, 0), jnp.where(length > 0, y / safe, 0)
