"""The gradient of a wave's tokens, split into the part through magnitude and that through phase.

With Z = G exp(i alpha), G = sqrt(u.u) over the tokens of a scope and cos(alpha) = u/G, the gradient
g = dL/du of any loss of such waves has two parts, in each dimension:

    magnitude path = (dL/dG) dG/du = (dL/dG) u/G             all phases held fixed
    phase path     = sum_j (dL/dalpha_j) dalpha_j/du         G held fixed

Scaling all tokens of a scope alike changes G and no phase, so the phase path is perpendicular to u,
and u.g = G dL/dG. Hence

    magnitude path = u (u.g)/(u.u)                           phase path = g - u (u.g)/(u.u)

the projection of the gradient on u and the rest, whatever the loss does with the waves. Their
squared lengths, the energies, add up to that of g. The paths are those of Zhang & Sheng, The
Backpropagation of the Wave Network (arXiv 2411.06989).
"""

from __future__ import annotations

from functools import partial
from typing import Literal

import jax

from wave_jax.ops.norms import magnitude, ratio, scope_sum
from wave_jax.ops.validation import Mask, Segments, Tokens, check_alike, checked_tokens

Path = Literal["both", "magnitude", "phase"]


def split_gradient(
    u: Tokens, g: Tokens, *, mask: Mask | None = None, segment_ids: Segments | None = None
) -> tuple[Tokens, Tokens]:
    """Returns the magnitude path and the phase path of a gradient g = dL/du, whose sum is g.

    The projection of `g` on `u` in each dimension of each scope, u (u.g)/(u.u), and the rest.

    Args:
      u, mask, segment_ids: as for `ops.magnitude`.
      g: dL/du by `jax.grad`, [..., n, d], of any loss of waves made of `u`: `ops.token_to_wave`,
        `ops.superpose`, or `ops.magnitude` and `ops.phase`.

    Returns:
      (magnitude_path, phase_path), [..., n, d] each, in the dtype of `u`, 0 at padding. Where G is
      0, the magnitude path is 0 and the phase path is g.

    >>> import jax.numpy as jnp
    >>> u, g = jnp.array([[3.0], [4.0]]), jnp.array([[1.0], [0.0]])
    >>> for path in split_gradient(u, g):
    ...     print(*(f"{x:.2f}" for x in path.ravel()))
    0.36 0.48
    0.64 -0.48
    """
    wide = checked_tokens(u, mask, segment_ids)
    check_alike("real", u=wide, g=g)
    g = checked_tokens(g, mask, segment_ids, "g").astype(wide.dtype)
    cos = ratio(wide, magnitude(wide, mask=mask, segment_ids=segment_ids))
    magnitude_path = scope_sum(g * cos, segment_ids) * cos
    return magnitude_path.astype(u.dtype), (g - magnitude_path).astype(u.dtype)


@partial(jax.custom_jvp, nondiff_argnums=(1,))
def one_path(
    u: Tokens, path: Path, mask: Mask | None = None, segment_ids: Segments | None = None
) -> Tokens:
    """Returns `u` itself; its gradient is one of the two paths of `split_gradient`, or both.

    Both are projections, so that the same rule serves forward and reverse mode. At padding the
    gradient is 0 unless `path` is 'both'.

    >>> import jax.numpy as jnp
    >>> u = jnp.array([[2.0], [0.0]])  # moved along itself, u changes no phase
    >>> jax.grad(lambda u: one_path(u, "phase").sum())(u).T
    Array([[0., 1.]], dtype=float32)
    """
    del path, mask, segment_ids
    return u


@one_path.defjvp
def _one_path_jvp(path: Path, primals: tuple, tangents: tuple) -> tuple[Tokens, Tokens]:
    (u, mask, segment_ids), du = primals, tangents[0]
    if path != "both":
        paths = split_gradient(u, du, mask=mask, segment_ids=segment_ids)
        du = paths[path == "phase"]
    return u, du
