"""Every gradient of a Wave Network: at the embeddings, at both variants, at magnitude and phase."""

from __future__ import annotations

from functools import partial
from typing import Any, get_args

import jax
import jax.numpy as jnp
from flax import struct
from jaxtyping import Array, Float

from wave_jax import ops
from wave_jax.errors import UserError
from wave_jax.probe import model_api
from wave_jax.probe.model_api import Ids, Labels, Logits, Mask, Model, Params, Scalar, Tokens
from wave_jax.probe.paths import polar_gradient, split_gradient


@struct.dataclass
class VariantGradients:
    """One of a layer's two variants: its wave, and the gradient of L there. All 0 at padding.

    Gradients hold the other variant and the parameters fixed.

    Attributes:
      tokens: u, the variant's token embeddings, [b, n, d].
      magnitude: G, [b, 1, d]; [b, n, d] where scopes are sentences, for each token its own scope's.
      phase: alpha, [b, n, d], in [0, pi].
      d_magnitude: dL/dG, in the shape of `magnitude`; the phases of all tokens are held fixed.
      d_phase: dL/dalpha, [b, n, d]; G and the phases of all other tokens are held fixed.
      magnitude_path: (dL/dG) dG/du, [b, n, d]: the part of `total` through the magnitude.
      phase_path: sum over tokens j of (dL/dalpha_j) dalpha_j/du, [b, n, d]: the part through the
        phases, the token's own and those of the others in its scope.
      total: dL/du, [b, n, d], by automatic differentiation, not from the paths, whose sum it is.
    """

    tokens: Tokens
    magnitude: Tokens
    phase: Tokens
    d_magnitude: Tokens
    d_phase: Tokens
    magnitude_path: Tokens
    phase_path: Tokens
    total: Tokens


@struct.dataclass
class SuperposedGradients:
    """The two variants' waves superposed by one operation, and the gradient there, [b, n, d] each.

    Attributes:
      real, imag: real and imaginary part of the superposed wave.
      d_real, d_imag: dL/d of each, the other held fixed.
    """

    real: Tokens
    imag: Tokens
    d_real: Tokens
    d_imag: Tokens


@struct.dataclass
class LayerGradients:
    """One layer: its two variants, and their superposition for each operation in use."""

    variants: tuple[VariantGradients, VariantGradients]
    superposed: dict[str, SuperposedGradients]


@struct.dataclass
class WaveGradients:
    """All gradients of one scalar L.

    Attributes:
      loss: L, [], the sum of `values`.
      values: what the scalar returned, [b] or [].
      logits: [b, c].
      embedding: dL/d(embedding output) for each token, positions included and through all layers,
        [b, n, d]; the parameters are held fixed.
      layers: from the first to the last.
    """

    loss: Array
    values: Array
    logits: Logits
    embedding: Tokens
    layers: tuple[LayerGradients, ...]


def wave_gradients(
    model: Model,
    params: Params,
    ids: Ids,
    labels: Labels,
    *,
    mask: Mask | None = None,
    scalar: Scalar | None = None,
) -> WaveGradients:
    """Returns the gradients of a scalar of the logits through magnitude and phase of each layer.

    A pure function: `jax.jit(partial(wave_gradients, model))(params, ids, labels)`. The network
    runs without dropout. All is finite at singular points; see `split_gradient`.

    Args:
      model: a Wave Network, such as `wave_jax.models.WaveClassifier`.
      ids, mask: int and bool [b, n], True at real tokens; all by default.
      labels: int [b], passed to `scalar`.
      scalar: (logits, labels) -> [b] or []; by default the cross-entropy of each example. Values of
        several examples are summed, so every row holds the gradients of its own example's value.

    Raises:
      UserError: the model has no waves.
    """
    real, scalar = model_api.real_tokens(ids, mask), scalar or model_api.cross_entropy
    embeddings = model_api.embed(model, params, ids)
    zeros = _perturbations(model, params, embeddings, ids, real)

    def loss(embeddings: Tokens, shifts: Any) -> tuple[Array, Any]:
        variables = {"params": params, "perturbations": shifts}
        logits, sown = model_api.logits(
            model, variables, embeddings, ids, real, mutable=["intermediates"]
        )
        values = scalar(logits, labels)
        return jnp.sum(values), (values, logits, sown["intermediates"])

    grad = jax.value_and_grad(loss, argnums=(0, 1), has_aux=True)
    (total, (values, logits, sown)), (d_embeddings, cotangents) = grad(embeddings, zeros)
    segments = model_api.variant_segments(model, ids, real)
    scopes = [{"mask": real} if x is None else {"segment_ids": x} for x in segments]
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
    model: Model, params: Params, embeddings: Tokens, ids: Ids, mask: Mask
) -> dict[str, Any]:
    """Returns a zero for everything that the layers perturb: {layer: {name: array}}."""
    trace = partial(model_api.logits, model, mutable=["perturbations"])
    _, found = jax.eval_shape(trace, {"params": params}, embeddings, ids, mask)
    shapes: dict[str, Any] = found.get("perturbations", {})
    if not _layers(shapes):
        raise UserError(
            f"{type(model).__name__} has no waves, so no phases to probe: expected a Wave Network; "
            "gradient_norms and the attributions work for any model"
        )
    return jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), shapes)


def _layers(perturbations: dict[str, Any]) -> list[str]:
    """Returns the names of the layers that make waves, 'layer_<number>', in order."""
    names = [name for name, inner in perturbations.items() if _operations(inner)]
    return sorted(names, key=lambda name: int(name.rpartition("_")[2]))


def _operations(perturbed: dict[str, Any]) -> list[ops.Superposition]:
    return [op for op in get_args(ops.Superposition) if f"{op}_real" in perturbed]


def _layer(
    u: Float[Array, "b n 2 d"], perturbed: dict[str, Array], scopes: list[dict[str, Array]]
) -> LayerGradients:
    tokens = (u[:, :, 0], u[:, :, 1])
    waves = tuple(_wave(x, scope) for x, scope in zip(tokens, scopes, strict=True))
    # The cotangents of each variant's own wave: those of all superpositions, added up.
    own = jax.tree.map(jnp.zeros_like, waves)
    superposed: dict[str, SuperposedGradients] = {}
    for op in _operations(perturbed):
        at = perturbed[f"{op}_real"], perturbed[f"{op}_imag"]
        value, pullback = jax.vjp(partial(ops.superpose_parts, op=op), *waves)
        own = jax.tree.map(jnp.add, own, pullback(at))
        superposed[op] = SuperposedGradients(*value, *at)
    first, second = map(_variant, tokens, own, scopes)
    return LayerGradients((first, second), superposed)


def _wave(u: Tokens, scope: dict[str, Array]) -> tuple[Tokens, Tokens]:
    real = scope["mask"] if "mask" in scope else scope["segment_ids"] > 0
    return jnp.where(real[..., None], u, 0), ops.leave_one_out_norm(u, **scope)


def _variant(u: Tokens, pq: tuple[Tokens, Tokens], scope: dict[str, Array]) -> VariantGradients:
    (tokens, _), pullback = jax.vjp(partial(_wave, scope=scope), u)
    d_magnitude, d_phase = polar_gradient(u, *pq, **scope)
    magnitude_path, phase_path = split_gradient(u, *pq, **scope)
    return VariantGradients(
        tokens=tokens,
        magnitude=ops.magnitude(u, **scope),
        phase=ops.phase(u, **scope),
        d_magnitude=d_magnitude,
        d_phase=d_phase,
        magnitude_path=magnitude_path,
        phase_path=phase_path,
        total=pullback(pq)[0],
    )
