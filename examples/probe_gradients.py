"""How learning flows through a wave's magnitude and phase: from raw arrays to the two paths.

    python examples/probe_gradients.py

No trainer and no network: a text of five tokens with four dimensions becomes two variants, these
become waves, the waves are multiplied, and a loss compares the result with a target. `jax.grad`
gives the loss's gradient by the magnitudes G, which all tokens share, by each token's phase alpha,
and at the tokens; `wave_jax.probe.split_gradient` says how much of the latter came through either.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np

from wave_jax import ops, probe

TOKENS, DIMENSIONS = 5, 4


def loss_of_polar(
    magnitude: jax.Array, phase: jax.Array, u2: jax.Array, target: jax.Array
) -> jax.Array:
    """The loss of the first variant's magnitude [1, d] and phase [n, d]: waves multiplied, read."""
    product = ops.modulate(ops.from_polar(magnitude, phase), ops.token_to_wave(u2))
    return jnp.mean((ops.readout(product.real, product.imag, "real") - target) ** 2)


def loss(u1: jax.Array, u2: jax.Array, target: jax.Array) -> jax.Array:
    """The loss of two variants of a text."""
    return loss_of_polar(ops.magnitude(u1), ops.phase(u1), u2, target)


def main() -> None:
    """Prints the gradient at the first variant, token by token, and its two paths."""
    rng = np.random.default_rng(0)
    u1, u2, target = (
        jnp.asarray(rng.normal(size=(TOKENS, DIMENSIONS)), jnp.float32) for _ in range(3)
    )

    # The gradient at the tokens, as any training has it, and its two paths.
    total = jax.grad(loss)(u1, u2, target)
    magnitude_path, phase_path = probe.split_gradient(u1, total)

    # The gradients by magnitude and phase themselves: the same loss, as a function of these.
    magnitude, phase = ops.magnitude(u1), ops.phase(u1)
    d_magnitude, d_phase = jax.grad(loss_of_polar, argnums=(0, 1))(magnitude, phase, u2, target)

    print(f"loss {loss(u1, u2, target):.4f}\n")
    print("dL/dG, one number a dimension, all phases held fixed:")
    print("  " + "  ".join(f"{x:+.4f}" for x in d_magnitude[0]), "\n")
    print("token   |dL/du|   magnitude path   phase path   mean |dL/dalpha|")
    for token in range(TOKENS):
        norms = [jnp.linalg.norm(x[token]) for x in (total, magnitude_path, phase_path)]
        turn = jnp.mean(jnp.abs(d_phase[token]))
        print(f"{token:>5}   {norms[0]:7.4f}   {norms[1]:14.4f}   {norms[2]:10.4f}   {turn:16.4f}")

    share = probe.magnitude_share(magnitude_path, phase_path)
    gap = jnp.max(jnp.abs(magnitude_path + phase_path - total)) / jnp.max(jnp.abs(total))
    print(f"\nshare of the magnitude path in the energy: {share:.3f}")
    print(f"magnitude path + phase path = dL/du, to {gap:.1e} of the largest entry")

    real, _ = probe.coupling(u1, u2, "modulation")
    print("\nhow strongly a token's wave (row) depends on a token (column), real part:")
    for row in real:
        print("  " + "  ".join(f"{x:6.3f}" for x in row))
    own, _ = probe.coupling(u1, u2, "interference")
    between = jnp.max(jnp.abs(own - jnp.diag(jnp.diag(own))))
    print(f"for interference it is diagonal: the largest entry between two tokens is {between:.0f}")


if __name__ == "__main__":
    main()
