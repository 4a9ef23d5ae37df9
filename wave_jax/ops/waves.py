"""Tokens as complex waves, and how two waves meet (eq. 2 to 7 of the Wave Network)."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jaxtyping import Array, Complex, Float

from wave_jax.ops.norms import leave_one_out_norm
from wave_jax.ops.polar import angle
from wave_jax.ops.scope import Mask, Segments, Tokens
from wave_jax.ops.validation import check_complex, check_pair, check_tokens, compute_dtype, keep

Waves = Complex[Array, "*b n d"]


def phase(u: Tokens, *, mask: Mask | None = None, segment_ids: Segments | None = None) -> Tokens:
    """Returns the phase alpha = arctan2(r/G, u/G) of each token, its local semantics (eq. 2).

    Args:
      u: token embeddings, [..., n, d], floating point.
      mask: bool [..., n], True at real tokens.
      segment_ids: int [..., n]; tokens with the same positive id share a scope, 0 is padding.

    Returns:
      [..., n, d] in radians, in [0, pi], in the dtype of `u`; 0 at padding and where a dimension is
      0 throughout the scope (G = 0). There, and where r = 0, derivatives are those of
      `leave_one_out_norm` and finite.

    Raises:
      TypeError, ValueError: wrong dtypes or shapes, or both `mask` and `segment_ids`.

    Reference:
      Zhang & Sheng, Wave Network, arXiv 2411.02674, eq. 2.

    >>> phase(jnp.array([[1.0], [0.0]])).T  # the first token is all there is, the second nothing
    Array([[0.       , 1.5707964]], dtype=float32)
    """
    check_tokens(u, mask, segment_ids)
    real, rest = _parts(u, mask, segment_ids)
    return keep(angle(real, rest), mask, segment_ids).astype(u.dtype)


def token_to_wave(
    u: Tokens, *, mask: Mask | None = None, segment_ids: Segments | None = None
) -> Waves:
    """Returns the wave Z = G exp(i alpha) = u + i r of each token (eq. 2).

    The real part is the token's own share of a dimension, the imaginary part everything else in
    that dimension. Built without trigonometry.

    Args:
      u: token embeddings, [..., n, d], floating point.
      mask: bool [..., n], True at real tokens.
      segment_ids: int [..., n]; tokens with the same positive id share a scope, 0 is padding.

    Returns:
      complex [..., n, d]: complex64, or complex128 for float64; 0 at padding.

    Raises:
      TypeError, ValueError: wrong dtypes or shapes, or both `mask` and `segment_ids`.

    >>> token_to_wave(jnp.array([[3.0], [4.0]])).T
    Array([[3.+4.j, 4.+3.j]], dtype=complex64)
    """
    check_tokens(u, mask, segment_ids)
    return jax.lax.complex(*_parts(u, mask, segment_ids))


def interfere(z1: Waves, z2: Waves) -> Waves:
    """Returns the interference Z + Z' of two waves (eq. 3).

    >>> interfere(jnp.array([1 + 1j]), jnp.array([1 - 1j]))
    Array([2.+0.j], dtype=complex64)
    """
    _check_waves(z1, z2)
    return z1 + z2


def modulate(z1: Waves, z2: Waves) -> Waves:
    """Returns the modulation Z Z': magnitudes multiply, phases add (eq. 6-7).

    >>> modulate(jnp.array([2j]), jnp.array([3j]))
    Array([-6.+0.j], dtype=complex64)
    """
    _check_waves(z1, z2)
    return z1 * z2


def interference_term(z1: Waves, z2: Waves) -> Float[Array, "*b n d"]:
    """Returns 2 Re(Z conj(Z')) = 2 G G' cos(alpha - alpha') (eq. 5).

    Positive where the waves reinforce each other, negative where they cancel:
    |Z + Z'|^2 = |Z|^2 + |Z'|^2 + this term.

    >>> interference_term(jnp.array([1 + 0j, 1j]), jnp.array([1 + 0j, -1j]))
    Array([ 2., -2.], dtype=float32)
    """
    _check_waves(z1, z2)
    return 2 * (z1.real * z2.real + z1.imag * z2.imag)


def _parts(u: Tokens, mask: Mask | None, segment_ids: Segments | None) -> tuple[Tokens, Tokens]:
    """Returns a wave's real and imaginary part in the dtype of computation."""
    real = keep(jnp.asarray(u).astype(compute_dtype(u)), mask, segment_ids)
    return real, leave_one_out_norm(real, mask=mask, segment_ids=segment_ids)


def _check_waves(z1: Waves, z2: Waves) -> None:
    check_complex(z1, "z1")
    check_complex(z2, "z2")
    check_pair(z1, z2, ("z1", "z2"))
