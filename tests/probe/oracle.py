"""Both paths of a gradient in NumPy float64, token by token from the Jacobians of G and alpha."""

import numpy as np

from tests import oracle


def paths(u, p, q, mask=None, segments=None):
    """(magnitude path, phase path), and the size of the terms that each element adds up."""
    u, p, q = (np.asarray(x, np.float64) for x in (u, p, q))
    g = oracle.magnitude(u, mask, segments)
    r = oracle.leave_one_out(u, mask, segments)
    safe = np.where(g > 0, g, 1)
    cos, sin = u / safe, r / safe
    d_phase = g * (q * cos - p * sin)
    magnitude, phase, size = np.zeros_like(u), np.zeros_like(u), np.zeros_like(u)
    for i, scope in enumerate(oracle.scopes(len(u), mask, segments)):
        for k in range(u.shape[1]) if len(scope) else ():
            if g[i, k] == 0:
                phase[i, k] = p[i, k]
                continue
            terms = [p[j, k] * cos[j, k] + q[j, k] * sin[j, k] for j in scope]
            magnitude[i, k] = np.sum(terms) * cos[i, k]
            # dalpha_j/du_i = u_i u_j / (G^2 r_j), one-sided mean 0 at r_j = 0; own: -r_i / G^2
            jacobian = {
                j: u[i, k] / g[i, k] * u[j, k] / g[i, k] / r[j, k]
                for j in scope
                if j != i and r[j, k] > 0
            }
            jacobian[i] = -sin[i, k] / g[i, k]
            phase[i, k] = sum(d_phase[j, k] * slope for j, slope in jacobian.items())
            parts = [abs(q[j, k]) / r[j, k] for j in scope if r[j, k] > 0]
            size[i, k] = abs(p[i, k]) + abs(u[i, k]) * np.sum(parts)
    return magnitude, phase, size


def dominated(rng, n, d=8):
    u = rng.standard_normal((n, d))
    u[rng.integers(n, size=d), np.arange(d)] *= 1e6
    return u


def tied(rng, n, d=8):
    u = rng.standard_normal((n, d))
    u[: n // 2 + 1] = u[0]
    u[0] *= -1
    return u


def sparse(rng, n, d=8):
    u = rng.standard_normal((n, d))
    u[:, :3] = 0  # whole dimensions empty
    u[1:, 3:5] = 0  # one token alone in its dimension
    return u


CASES = {
    "normal": lambda rng, n: rng.standard_normal((n, 8)),
    "tied": tied,
    "dominated": dominated,
    "sparse": sparse,
    "zeros": lambda rng, n: np.zeros((n, 8)),
}
