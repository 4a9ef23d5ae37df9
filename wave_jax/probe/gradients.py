"""Every gradient of a Wave Network: at the embeddings, at both variants, at magnitude and phase."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any, get_args

import jax
import jax.numpy as jnp
from flax import struct
from jaxtyping import Array

from wave_jax import ops
from wave_jax.errors import UserError
from wave_jax.ops.norms import ratio
from wave_jax.ops.superposition import Scope, SegmentPair
from wave_jax.ops.waves import wave_parts
from wave_jax.probe import model_api
from wave_jax.probe.coupling import coupling
from wave_jax.probe.model_api import Ids, Labels, Logits, Mask, Model, Params, Scalar, Tokens
from wave_jax.probe.paths import magnitude_share, polar_gradient


@struct.dataclass
class VariantGradients:
    """One of a layer's two variants: its wave, and the gradient of L there. All 0 at padding.

    Gradients hold the other variant and the parameters fixed.

    Attributes:
      tokens: u, the variant's token embeddings, [b, n, d].
      magnitude: G, [b, 1, d]; [b, n, d] where scopes are sentences, for each token its own scope's.
      phase: alpha, [b, n, d], in [0, pi].
      d_magnitude, d_phase: dL/dG and dL/dalpha in the shapes of these, see `polar_gradient`.
      magnitude_path, phase_path: the parts of `total` through the magnitude and through the phases
        of all tokens in the scope, [b, n, d] each, see `ops.split_gradient`.
      total: dL/du, [b, n, d], the sum of both paths.
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
    """Two variants' waves superposed by one operation, and dL/d of each part, [b, n, d] each."""

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
      values, logits: what the scalar returned, [b] or [], and of which logits, [b, c].
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
    runs without dropout. All is finite at singular points; see `ops.split_gradient`.

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
    apply = partial(model_api.logits, model, mutable=["intermediates"])

    def loss(embeddings: Tokens, shifts: Any) -> tuple[Array, Any]:
        variables = {"params": params, "perturbations": shifts}
        logits, sown = apply(variables, embeddings, ids, real)
        values = scalar(logits, labels)
        return jnp.sum(values), (values, logits, sown["intermediates"])

    grad = jax.value_and_grad(loss, argnums=(0, 1), has_aux=True)
    (total, (values, logits, sown)), (d_embeddings, cotangents) = grad(embeddings, zeros)
    segments = model_api.variant_segments(model, ids, real)
    scopes: list[Scope] = [(real, None) if x is None else (None, x) for x in segments]
    layers = [_layer(sown[name]["tokens"][0], cotangents[name], scopes) for name in _layers(zeros)]
    d_embeddings = jnp.where(real[..., None], d_embeddings, 0)
    return WaveGradients(total, values, logits, d_embeddings, tuple(layers))


def gradient_norms(
    model: Model, params: Params, ids: Ids, labels: Labels, *, mask: Mask | None = None
) -> dict[str, Array]:
    """Returns L2 norms of the gradient of the mean loss of a batch, without dropout.

    Args: as for `wave_gradients`; any model with `embed` and `logits_from_embeddings` will do.

    Returns:
      'cls': the norm at the embedding output of the first token of all texts; 'input': at that of
      all real tokens, every occurrence on its own; and one entry for each group of parameters,
      named by its path and including everything below: 'embed', 'layer_0', 'layer_0/variants', ...,
      'classifier'. Scalars in float32 or float64.
    """
    real = model_api.real_tokens(ids, mask)
    shift = jnp.zeros_like(jax.eval_shape(lambda p: model_api.embed(model, p, ids), params))

    def loss(params: Params, shift: Array) -> Array:
        embeddings = model_api.embed(model, params, ids) + shift
        logits = model_api.logits(model, {"params": params}, embeddings, ids, real)
        return _mean_loss(logits, labels)

    d_params, d_embeddings = jax.grad(loss, argnums=(0, 1))(params, shift)
    d_embeddings = jnp.where(real[..., None], d_embeddings, 0)
    norms = {"cls": _norm(d_embeddings[:, 0]), "input": _norm(d_embeddings)}
    return norms | dict(_group_norms(d_params))


def summarize(
    model: Model, params: Params, ids: Ids, labels: Labels, *, mask: Mask | None = None
) -> dict[str, Array]:
    """Returns scalars that summarize the gradients of a batch's mean loss. Usable under jit.

    Args, Raises: as for `wave_gradients`.

    Returns:
      'loss'; 'gradient_norm/<place>' for 'cls', 'input' and each top-level group of parameters, see
      `gradient_norms`; for each layer 'layer_<i>/mean_abs_d_magnitude' and '.../mean_abs_d_phase'
      (over real tokens, dimensions and both variants), 'layer_<i>/magnitude_share', and
      'layer_<i>/coupling/<op>', the effective number of tokens that a token is coupled to, (sum of
      squares)^2 / sum of fourth powers of its row of `coupling`, as a share of all other tokens.
    """
    real = model_api.real_tokens(ids, mask)
    gradients = wave_gradients(model, params, ids, labels, mask=real, scalar=_mean_loss)
    norms = gradient_norms(model, params, ids, labels, mask=real)
    found = {"loss": gradients.loss}
    found |= {f"gradient_norm/{name}": x for name, x in norms.items() if "/" not in name}
    segments = model_api.variant_segments(model, ids, real)
    for index, layer in enumerate(gradients.layers):
        numbers = _layer_summary(layer, real)
        for op, parts in couplings(layer, real, segments).items():
            numbers[f"coupling/{op}"] = _spread_of_coupling(*parts, real)
        found |= {f"layer_{index}/{name}": x for name, x in numbers.items()}
    return found


def couplings(
    layer: LayerGradients, mask: Mask, segments: SegmentPair
) -> dict[str, tuple[Array, Array]]:
    """Returns `coupling` of a layer's variants, for each operation in use."""
    whole = mask if segments[0] is segments[1] is None else None
    first, second = (variant.tokens for variant in layer.variants)
    couple: Any = partial(coupling, first, second, mask=whole, segment_ids=segments)
    return {op: couple(op) for op in layer.superposed}


def _perturbations(model: Model, params: Params, *inputs: Array) -> dict[str, Any]:
    """Returns a zero for everything that the layers perturb: {layer: {name: array}}."""
    trace = partial(model_api.logits, model, mutable=["perturbations"])
    _, found = jax.eval_shape(trace, {"params": params}, *inputs)
    shapes: dict[str, Any] = found.get("perturbations", {})
    if not _layers(shapes):
        why = "has no waves, so no phases to probe: expected a Wave Network"
        usable = "gradient_norms and the attributions work for any model"
        raise UserError(f"{type(model).__name__} {why}; {usable}")
    return jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), shapes)


def _layers(perturbations: dict[str, Any]) -> list[str]:
    """Returns the names of the layers that make waves, 'layer_<number>', in order."""
    names = [name for name, inner in perturbations.items() if _operations(inner)]
    return sorted(names, key=lambda name: int(name.rpartition("_")[2]))


def _operations(perturbed: dict[str, Any]) -> list[ops.Superposition]:
    return [op for op in get_args(ops.Superposition) if f"{op}_real" in perturbed]


def _layer(u: Array, perturbed: dict[str, Array], scopes: list[Scope]) -> LayerGradients:
    tokens = (u[:, :, 0], u[:, :, 1])  # of u [b, n, 2, d]
    waves = tuple(wave_parts(x, *scope) for x, scope in zip(tokens, scopes, strict=True))
    # The cotangents of each variant's own wave: those of all superpositions, added up.
    own, dtype = jax.tree.map(jnp.zeros_like, waves), waves[0][0].dtype
    superposed: dict[str, SuperposedGradients] = {}
    for op in _operations(perturbed):
        at = tuple(perturbed[f"{op}_{part}"].astype(dtype) for part in ("real", "imag"))
        value, pullback = jax.vjp(partial(ops.superpose_parts, op=op), *waves)
        own = jax.tree.map(jnp.add, own, pullback(at))
        superposed[op] = SuperposedGradients(*value, *at)
    first, second = map(_variant, tokens, own, scopes)
    return LayerGradients((first, second), superposed)


def _variant(u: Tokens, pq: tuple[Tokens, Tokens], scope: Scope) -> VariantGradients:
    (tokens, _), pullback = jax.vjp(lambda u: wave_parts(u, *scope), u)
    given: dict[str, Any] = dict(zip(("mask", "segment_ids"), scope, strict=True))
    wave = tokens, ops.magnitude(u, **given), ops.phase(u, **given)
    total = pullback(pq)[0]
    polar, paths = polar_gradient(u, *pq, **given), ops.split_gradient(u, total, **given)
    return VariantGradients(*wave, *polar, *paths, total=total)


def _mean_loss(logits: Array, labels: Labels) -> Array:
    return jnp.mean(model_api.cross_entropy(logits, labels))


def _group_norms(gradient: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Array]]:
    """Yields (path, norm) of every inner node below the root, parents first."""
    for name, inner in gradient.items():
        if isinstance(inner, Mapping):
            yield prefix + name, _norm(*jax.tree.leaves(inner))
            yield from _group_norms(inner, f"{prefix}{name}/")


def _norm(*arrays: Array) -> Array:
    squares = (jnp.square(x.astype(jnp.promote_types(x.dtype, jnp.float32))) for x in arrays)
    return jnp.sqrt(sum(map(jnp.sum, squares)))


def _layer_summary(layer: LayerGradients, mask: Mask) -> dict[str, Array]:
    def mean_abs(*arrays: Array) -> Array:
        """Over what is not padding; a whole text's magnitude is one row."""
        rows = [jnp.sum(mask) if x.shape[1] == mask.shape[1] else x.shape[0] for x in arrays]
        total = sum(jnp.sum(jnp.abs(x)) for x in arrays)
        return jnp.asarray(total) / (sum(rows) * arrays[0].shape[-1])

    both = jax.tree.map(lambda *pair: pair, *layer.variants)
    paths = jnp.stack(both.magnitude_path), jnp.stack(both.phase_path)
    return {
        "mean_abs_d_magnitude": mean_abs(*both.d_magnitude),
        "mean_abs_d_phase": mean_abs(*both.d_phase),
        "magnitude_share": magnitude_share(*paths),
    }


def _spread_of_coupling(real: Array, imag: Array, mask: Mask) -> Array:
    squares = (real**2 + imag**2) * (1 - jnp.eye(mask.shape[1], dtype=real.dtype))
    effective = ratio(jnp.sum(squares, axis=-1) ** 2, jnp.sum(squares**2, axis=-1))
    tokens = jnp.sum(mask, axis=1)
    return jnp.sum(effective) / jnp.maximum(jnp.sum(tokens * (tokens - 1)), 1)
