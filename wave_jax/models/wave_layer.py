"""One layer of the Wave Network: variants, waves, their superposition, feed-forward."""

from __future__ import annotations

from functools import partial
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.experimental.layout import Layout, with_layout_constraint
from jaxtyping import Array, Float, Int

from wave_jax import ops
from wave_jax.models.base import ACTIVATIONS, Mask, Tokens, drop
from wave_jax.models.config import Activation

BFLOAT16_PRODUCTS = "BF16_BF16_F32"
"""JAX's name of a product of bfloat16 operands summed in float32."""

Wave = tuple[Float[Array, "b *n d"], Float[Array, "b *n d"]]
Variants = Float[Array, "*b 2 d"]
Scopes = tuple[Int[Array, "b n"] | None, Int[Array, "b n"] | None]


class WaveLayer(nn.Module):
    """Dense variants -> waves -> superposition -> readout -> norm -> feed-forward -> norm.

    ([WN] section 4 and figure 6.) `WaveClassifier` also calls the steps one by one, for a text's
    first token alone. For probing, the variants are sown as 'tokens' into 'intermediates', and real
    and imaginary part of each superposition are perturbable as '<op>_real' and '<op>_imag'.

    Attributes: see `ModelConfig`.
      readouts: for each operation in use, how its wave is read; several are mixed by learned
        weights (a softmax over one logit each) after their norms.
      dense: whether variants are projected; else an embedding holds both, one after the other.
      ffn: whether norms and feed-forward follow the readout.
      gradient: which paths the gradient takes to the variants, see `ops.one_path`.
    """

    dim: int
    ffn_dim: int
    readouts: tuple[tuple[ops.Superposition, ops.ReadoutKind], ...]
    activation: Activation = "gelu"
    dropout: float = 0.0
    dense: bool = True
    ffn: bool = True
    gradient: ops.Path = "both"

    def setup(self) -> None:
        if self.dense:
            self.variants = nn.DenseGeneral((2, self.dim), dot_general=contract_last)
        if self.ffn:
            self.norm_in = [nn.LayerNorm(use_fast_variance=False) for _ in self.readouts]
            self.ffn_in = nn.Dense(self.ffn_dim)
            self.ffn_out = nn.Dense(self.dim)
            self.norm_out = nn.LayerNorm(use_fast_variance=False)
        if len(self.readouts) > 1:
            self.mix = self.param("mix", nn.initializers.zeros, (len(self.readouts),))

    def __call__(
        self, x: Tokens, mask: Mask, segment_ids: Scopes, *, deterministic: bool = True
    ) -> Tokens:
        """Returns the layer's output for every token of texts [b, n, d]."""
        return self.finish(self.superpose(self.project(x), mask, segment_ids), deterministic)

    def project(self, x: Float[Array, "*b d"]) -> Variants:
        """Returns the two variants of each token embedding."""
        return self.variants(x) if self.dense else x.reshape(*x.shape[:-1], 2, self.dim)

    def superpose(self, u: Variants, mask: Mask, segment_ids: Scopes) -> list[Wave]:
        """Returns the superposed waves of all tokens, one for each operation, text by text."""
        u = self.keep_path(u, mask, segment_ids)
        self.sow("intermediates", "tokens", u)
        whole = segment_ids == (None, None)

        def one_text(u: Array, mask: Array, scopes: Scopes, op: ops.Superposition) -> Wave:
            padding = {"mask": mask} if whole else {"segment_ids": scopes}
            return ops.superpose(u[:, 0], u[:, 1], op, **padding)

        waves = []
        for op, _ in self.readouts:
            real, imag = jax.vmap(partial(one_text, op=op))(u, mask, segment_ids)
            waves.append((self.perturb(f"{op}_real", real), self.perturb(f"{op}_imag", imag)))
        return waves

    def keep_path(self, u: Variants, mask: Mask, segment_ids: Scopes) -> Variants:
        """Returns all tokens' variants, whose gradient takes the paths of `gradient` alone."""
        if self.gradient == "both":
            return u
        kept = [
            ops.one_path(u[..., v, :], self.gradient, mask if segments is None else None, segments)
            for v, segments in enumerate(segment_ids)
        ]
        return jnp.stack(kept, axis=-2)

    def superpose_polar(self, magnitude: Variants, phase: Variants) -> list[Wave]:
        """Returns the superposed waves of variants given as magnitudes and phases."""
        real, imag = magnitude * jnp.cos(phase), magnitude * jnp.sin(phase)
        first, second = ((real[..., v, :], imag[..., v, :]) for v in range(2))
        return [ops.superpose_parts(first, second, op) for op, _ in self.readouts]

    def superpose_first(self, own: Variants, rest: Variants) -> list[Wave]:
        """Returns the superposed waves of one token a text, from its variants and their r."""
        first, second = (own[:, 0], rest[:, 0]), (own[:, 1], rest[:, 1])
        return [ops.superpose_parts(first, second, op) for op, _ in self.readouts]

    def finish(self, waves: list[Wave], deterministic: bool) -> Float[Array, "b *n d"]:
        """Returns the layer's output for superposed waves of any number of tokens."""
        kinds = [kind for _, kind in self.readouts]
        parts = [ops.readout(*wave, kind) for wave, kind in zip(waves, kinds, strict=True)]
        if self.ffn:
            parts = [norm(part) for norm, part in zip(self.norm_in, parts, strict=True)]
        x = parts[0]
        if len(parts) > 1:
            weights = nn.softmax(self.mix)
            x = sum(weight * part for weight, part in zip(weights, parts, strict=True))
        if not self.ffn:
            return x
        hidden = ACTIVATIONS[self.activation](self.ffn_in(x))
        return self.norm_out(self.ffn_out(self.drop(hidden, deterministic)))

    def drop(self, x: Float[Array, "b *n d"], deterministic: bool) -> Float[Array, "b *n d"]:
        """Returns `x` with dropout; a layer's own output is left to the caller to drop."""
        return drop(self, x, self.dropout, deterministic)


def contract_last(x: Array, kernel: Array, dimension_numbers: Any, **options: Any) -> Array:
    """Returns x [..., k] contracted with kernel [k, ...], as `jax.lax.dot_general` does.

    As a product of two matrices: a kernel [d, 2, d] contracted as it stands is copied, with its
    gradient, into another order before and after every product. Where bfloat16 products are asked
    for (`training.compilation.matmul_precision`), operands are rounded to bfloat16 and sums kept in
    float32, backwards too; asking the compiler alone leaves CPUs at float32's speed.

    >>> contract_last(jnp.ones((5, 3)), jnp.ones((3, 2, 4)), (((1,), (0,)), ((), ()))).shape
    (5, 2, 4)
    """
    expected = ((x.ndim - 1,), (0,))
    if tuple(map(tuple, dimension_numbers[0])) != expected:
        raise ValueError(f"expected contraction over {expected}, got {dimension_numbers[0]}")
    left, right = x.reshape(-1, x.shape[-1]), kernel.reshape(kernel.shape[0], -1)
    asked_for = jax.config.jax_default_matmul_precision  # type: ignore[attr-defined]
    free = options.get("precision") is None and left.dtype == jnp.float32
    if free and asked_for == BFLOAT16_PRODUCTS:
        flat = bfloat16_product(left, right)
    else:
        flat = jnp.dot(left, right, **options)
    return flat.reshape(*x.shape[:-1], *kernel.shape[1:])


@jax.custom_vjp
def bfloat16_product(x: Float[Array, "m k"], w: Float[Array, "k n"]) -> Float[Array, "m n"]:
    """Returns x w with operands rounded to bfloat16 and sums in float32; float32 [m, n]."""
    return _forward(x, w)[0]


def _forward(x: Array, w: Array) -> tuple[Array, tuple[Array, Array]]:
    narrow = x.astype(jnp.bfloat16), w.astype(jnp.bfloat16)
    return _product(*narrow), narrow


def _backward(kept: tuple[Array, Array], grad: Array) -> tuple[Array, Array]:
    (x, w), grad = kept, grad.astype(jnp.bfloat16)
    return _product(grad, _transposed(w)), _product(_transposed(x), grad)


bfloat16_product.defvjp(_forward, _backward)


def _product(x: Array, y: Array) -> Array:
    return jnp.dot(x, y, precision="default", preferred_element_type=jnp.float32)


@jax.jit
def _transposed(x: Array) -> Array:
    """Returns the transpose; on a CPU as a copy, which quick products need and which costs less."""
    if jax.default_backend() != "cpu":
        return x.T
    return with_layout_constraint(x.T, Layout((0, 1)))
