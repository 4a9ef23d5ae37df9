"""The Wave Network's mathematics in NumPy float64, written from the definitions.

Nothing here comes from `wave_jax`: sums run over the tokens they name, one text at a time, and
squares are taken of numbers scaled by their maximum, so that float64 neither overflows nor cancels.
"""

import numpy as np


def norm(x):
    """L2 norm over the first axis, safe from overflow."""
    x = np.asarray(x, np.float64)
    top = np.abs(x).max(axis=0, initial=0.0)
    safe = np.where(top == 0, 1, top)
    return safe * np.sqrt(((x / safe) ** 2).sum(axis=0))


def scopes(n, mask=None, segments=None):
    """For each token the indices of its scope; an empty list at padding."""
    if segments is not None:
        return [np.flatnonzero(segments == s) if s > 0 else [] for s in segments]
    real = np.arange(n) if mask is None else np.flatnonzero(mask)
    return [real if j in real else [] for j in range(n)]


def magnitude(u, mask=None, segments=None):
    """G of each token's scope, [n, d]; 0 at padding."""
    u = np.asarray(u, np.float64)
    return np.stack([norm(u[list(scope)]) for scope in scopes(len(u), mask, segments)])


def leave_one_out(u, mask=None, segments=None):
    """r of each token, [n, d]; 0 at padding."""
    u = np.asarray(u, np.float64)
    out = [
        norm(u[[i for i in scope if i != j]])
        for j, scope in enumerate(scopes(len(u), mask, segments))
    ]
    return np.stack(out)


def wave(u, mask=None, segments=None):
    """G exp(i alpha) with alpha = arctan2(r, u), by trigonometry (eq. 2); 0 at padding."""
    u = np.asarray(u, np.float64)
    r = leave_one_out(u, mask, segments)
    g = magnitude(u, mask, segments)
    alpha = np.arctan2(r, u)
    return g * np.exp(1j * alpha)


def phase(u, mask=None, segments=None):
    """The angle of each token's wave, in [0, pi]; 0 at padding."""
    z = wave(u, mask, segments)
    return np.where(z == 0, 0, np.angle(z))


def leave_one_out_vjp(u, q, mask=None, segments=None):
    """dL/du for cotangent q at r: u_i sum_{j != i} q_j / r_j; and the scale of its rounding error.

    The sum is taken over j != i term by term, so nothing cancels that need not.
    """
    u, q = np.asarray(u, np.float64), np.asarray(q, np.float64)
    r = leave_one_out(u, mask, segments)
    ratio = np.where(r > 0, q / np.where(r > 0, r, 1), 0)
    grad, bound = np.zeros_like(u), np.zeros_like(u)
    for i, scope in enumerate(scopes(len(u), mask, segments)):
        others = [j for j in scope if j != i]
        grad[i] = u[i] * ratio[others].sum(axis=0)
        bound[i] = np.abs(u[i]) * np.abs(ratio[list(scope)]).sum(axis=0)
    return grad, bound.max(axis=0)
