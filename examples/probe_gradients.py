"""How learning flows through a wave's magnitude and phase: from raw arrays to the two paths.

    python examples/probe_gradients.py

No trainer and no network: a text of five tokens with four dimensions becomes two variants, these
become waves, the waves are multiplied, and a loss compares the result with a target. `jax.grad`
gives the loss's gradient at the tokens; `wave_jax.probe.split_gradient` says how much of it came
through the magnitudes G, which all tokens share, and how much through each token's phase alpha.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np

from wave_jax import ops, probe

TOKENS, DIMENSIONS = 5, 4


def loss_of_wave(real: jax.Array, imag: jax.Array, target: jax.Array) -> jax.Array:
    """A loss of the superposed wave: the squared distance of its real part from a target."""
    return jnp.mean((ops.readout(real, imag, "real") - target) ** 2)


def loss(u1: jax.Array, u2: jax.Array, target: jax.Array) -> jax.Array:
    """ops -> loss: two variants of a text, their waves superposed, read out, compared."""
    return loss_of_wave(*ops.superpose(u1, u2, "modulation"), target)


def main() -> None:
    """Prints the gradient at the first variant, token by token, and its two paths."""
    rng = np.random.default_rng(0)
    u1, u2, target = (
        jnp.asarray(rng.normal(size=(TOKENS, DIMENSIONS)), jnp.float32) for _ in range(3)
    )

    # The gradient at the tokens, as any training has it.
    total = jax.grad(loss)(u1, u2, target)

    # The cotangents (p, q) of the first variant's own wave Z = u + i r: one step back from there.
    def loss_at_first_wave(wave: jax.Array) -> jax.Array:
        product = ops.modulate(wave, ops.token_to_wave(u2))
        return loss_of_wave(product.real, product.imag, target)

    # JAX's gradient by a complex number is dL/d(real) - i dL/d(imag).
    cotangent = jax.grad(loss_at_first_wave)(ops.token_to_wave(u1))
    p, q = cotangent.real, -cotangent.imag

    # The split, and the gradients by magnitude and phase themselves.
    magnitude_path, phase_path = probe.split_gradient(u1, p, q)
    d_magnitude, d_phase = probe.polar_gradient(u1, p, q)

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
    print(f"\nshare of the magnitude path: {share:.3f}")
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
