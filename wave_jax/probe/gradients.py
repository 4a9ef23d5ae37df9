"""Every gradient of a Wave Network: at the embeddings, at both variants, at magnitude and phase."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any, TypeAlias, get_args

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from wave_jax import ops
from wave_jax.errors import UserError
from wave_jax.ops.superposition import Superposition, superpose_parts
from wave_jax.probe.model_api import (
    Embeddings,
    Ids,
    Mask,
    Params,
    embed,
    logits_of,
    real_tokens,
    variant_scopes,
)
from wave_jax.probe.paths import polar_gradient, split_gradient
from wave_jax.probe.scalars import Labels, Scalar, cross_entropy

Tokens = Float[Array, "b n d"]
Scope: TypeAlias = dict[str, Array]


@partial(jax.tree_util.register_dataclass)
@dataclass(frozen=True)
class VariantGradients:
    """One of a layer's two variants: its wave, and L's gradient at it. All 0 at padding.

    Attributes:
      tokens: u, the variant's token embeddings, [b, n, d].
      magnitude: G, [b, 1, d]; [b, n, d], each token's own scope, where scopes are sentences.
      phase: alpha, [b, n, d], in [0, pi].
      d_magnitude: dL/dG, in the shape of `magnitude`. Held fixed: the phases of all tokens, the
        other variant, the parameters.
      d_phase: dL/dalpha, [b, n, d]. Held fixed: G, the phases of all other tokens, the other
        variant, the parameters.
      magnitude_path: (dL/dG) dG/du, [b, n, d]: what of `total` comes through the magnitude.
      phase_path: sum over tokens j of (dL/dalpha_j) dalpha_j/du, [b, n, d]: what comes through the
        phases, the token's own and those of the others in its scope.
      total: dL/du, [b, n, d], by automatic differentiation of the whole model, not from the paths,
        whose sum it is. Held fixed: the other variant and the parameters.
    """

    tokens: Tokens
    magnitude: Tokens
    phase: Tokens
    d_magnitude: Tokens
    d_phase: Tokens
    magnitude_path: Tokens
    phase_path: Tokens
    total: Tokens


@partial(jax.tree_util.register_dataclass)
@dataclass(frozen=True)
class SuperposedGradients:
    """The two variants' waves superposed by one operation, and L's gradient there, [b, n, d] each.

    Attributes:
      real, imag: the parts of the superposed wave.
      d_real, d_imag: dL/d of each part, the other held fixed.
    """

    real: Tokens
    imag: Tokens
    d_real: Tokens
    d_imag: Tokens


@partial(jax.tree_util.register_dataclass)
@dataclass(frozen=True)
class LayerGradients:
    """One layer: its two variants, and their superposition for each operation in use."""

    variants: tuple[VariantGradients, VariantGradients]
    superposed: dict[str, SuperposedGradients]


@partial(jax.tree_util.register_dataclass)
@dataclass(frozen=True)
class WaveGradients:
    """All gradients of one scalar L.

    Attributes:
      loss: L, [], the sum of `values`.
      values: what the scalar returned, [b] or [].
      logits: [b, c].
      embedding: dL/d(embedding output) for each token, positions included, [b, n, d]. Held fixed:
        the parameters; the token's embedding acts through all layers.
      layers: from the first to the last.
    """

    loss: Array
    values: Array
    logits: Float[Array, "b c"]
    embedding: Embeddings
    layers: tuple[LayerGradients, ...]


def wave_gradients(
    model: nn.Module,
    params: Params,
    ids: Ids,
    labels: Labels,
    *,
    mask: Mask | None = None,
    scalar: Scalar | None = None,
) -> WaveGradients:
    """Returns the gradients of a scalar of the logits through magnitude and phase of each layer.

    A pure function: `jax.jit(partial(wave_gradients, model))(params, ids, labels)`. The network
    runs without dropout. At singular points (one token, ties, dimensions that are 0 throughout)
    all is finite; `split_gradient` says which values are returned there.

    Args:
      model: a Wave Network, such as `wave_jax.models.WaveClassifier`.
      params: its parameters, `variables['params']`.
      ids: token ids, int [b, n].
      labels: int [b], passed to `scalar`.
      mask: bool [b, n], True at real tokens; all are by default.
      scalar: (logits, labels) -> [b] or []; by default the cross-entropy of each example. Values of
        several examples are added up, so every row holds the gradients of its own example's value.

    Raises:
      UserError: the model has no waves.
    """
    real, scalar = real_tokens(ids, mask), scalar or cross_entropy
    embeddings = embed(model, params, ids)
    zeros = _perturbations(model, params, embeddings, ids, real)

    def loss(embeddings: Embeddings, shifts: Any) -> tuple[Array, Any]:
        variables = {"params": params, "perturbations": shifts}
        logits, sown = logits_of(model, variables, embeddings, ids, real, mutable=["intermediates"])
        values = scalar(logits, labels)
        return jnp.sum(values), (values, logits, sown["intermediates"])

    grad = jax.value_and_grad(loss, argnums=(0, 1), has_aux=True)
    (total, (values, logits, sown)), (d_embeddings, cotangents) = grad(embeddings, zeros)
    scopes = variant_scopes(model, ids, real)
    layers = tuple(
        _layer(sown[name]["tokens"][0], cotangents[name], scopes) for name in _layers(zeros)
    )
    d_embeddings = jnp.where(real[..., None], d_embeddings, 0)
    return WaveGradients(total, values, logits, d_embeddings, layers)


def magnitude_share(
    magnitude_path: Tokens, phase_path: Tokens, axis: int | tuple[int, ...] | None = None
) -> Array:
    """Returns |magnitude path| / (|magnitude path| + |phase path|), L2 norms over `axis`.

    In [0, 1]; 0.5 where both are 0. By default over all axes.

    >>> magnitude_share(jnp.array([3.0, 4.0]), jnp.array([0.0, 15.0]))
    Array(0.25, dtype=float32)
    """
    magnitude, phase = (
        jnp.sqrt(jnp.sum(jnp.square(path), axis=axis)) for path in (magnitude_path, phase_path)
    )
    both = magnitude + phase
    return jnp.where(both > 0, magnitude / jnp.where(both > 0, both, 1), 0.5)


def _perturbations(
    model: nn.Module, params: Params, embeddings: Embeddings, ids: Ids, mask: Mask
) -> dict[str, Any]:
    """Returns zeros for all that a layer lets be perturbed: {layer: {name: array}}."""

    def trace(params: Params, embeddings: Embeddings) -> Any:
        variables = {"params": params}
        _, found = logits_of(model, variables, embeddings, ids, mask, mutable=["perturbations"])
        return found.get("perturbations", {})

    shapes = jax.eval_shape(trace, params, embeddings)
    if not _layers(shapes):
        raise UserError(
            f"{type(model).__name__} has no waves, so no phases to probe: expected a Wave Network; "
            "gradient_norms and the attributions work for any model"
        )
    return jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), shapes)


def _layers(perturbations: dict[str, Any]) -> list[str]:
    """Returns the layers' names, 'layer_<number>', in order."""
    names = [name for name, inner in perturbations.items() if any(_cotangents(inner))]
    return sorted(names, key=lambda name: int(name.rpartition("_")[2]))


def _cotangents(found: dict[str, Array]) -> dict[Superposition, tuple[Array, Array]]:
    """Returns the pairs (of the real, of the imaginary part) of a layer, for each operation."""
    ops: tuple[Superposition, ...] = get_args(Superposition)
    return {op: (found[f"{op}_real"], found[f"{op}_imag"]) for op in ops if f"{op}_real" in found}


def _layer(
    u: Float[Array, "b n 2 d"], perturbed: dict[str, Array], scopes: tuple[Scope, Scope]
) -> LayerGradients:
    tokens = (u[:, :, 0], u[:, :, 1])
    waves = tuple(_wave(x, scope) for x, scope in zip(tokens, scopes, strict=True))
    # Each variant's own wave: what every superposition hands back to it, added up.
    own = jax.tree.map(jnp.zeros_like, waves)
    superposed: dict[str, SuperposedGradients] = {}
    for op, at in _cotangents(perturbed).items():
        value, pullback = jax.vjp(partial(_combined, op=op), waves)
        own = jax.tree.map(jnp.add, own, pullback(at)[0])
        superposed[op] = SuperposedGradients(*value, *at)
    first, second = (_variant(*parts) for parts in zip(tokens, own, scopes, strict=True))
    return LayerGradients((first, second), superposed)


def _wave(u: Tokens, scope: Scope) -> tuple[Tokens, Tokens]:
    """Returns the parts of a variant's wave, in real arithmetic."""
    return _zeroed(u, scope), ops.leave_one_out_norm(u, **scope)


def _combined(
    waves: tuple[tuple[Tokens, Tokens], tuple[Tokens, Tokens]], op: Superposition
) -> tuple[Tokens, Tokens]:
    return superpose_parts(waves[0], waves[1], op)


def _variant(u: Tokens, wave_cotangents: tuple[Tokens, Tokens], scope: Scope) -> VariantGradients:
    p, q = wave_cotangents
    d_magnitude, d_phase = polar_gradient(u, p, q, **scope)
    magnitude_path, phase_path = split_gradient(u, p, q, **scope)
    (total,) = jax.vjp(partial(_wave, scope=scope), u)[1]((p, q))
    return VariantGradients(
        tokens=_zeroed(u, scope),
        magnitude=ops.magnitude(u, **scope),
        phase=ops.phase(u, **scope),
        d_magnitude=d_magnitude,
        d_phase=d_phase,
        magnitude_path=magnitude_path,
        phase_path=phase_path,
        total=total,
    )


def _zeroed(x: Tokens, scope: Scope) -> Tokens:
    real = scope["mask"] if "mask" in scope else scope["segment_ids"] > 0
    return jnp.where(real[..., None], x, 0)
