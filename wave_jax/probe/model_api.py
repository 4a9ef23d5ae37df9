"""What a model must offer to be probed, and the scalars that are differentiated.

A model is probed at its embeddings: token ids -> `embed` -> `logits_from_embeddings` -> logits.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol, TypeAlias

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from wave_jax.errors import UserError

Params: TypeAlias = Mapping[str, Any]
Ids = Int[Array, "b n"]
Mask = Bool[Array, "b n"]
Tokens = Float[Array, "b n d"]
Logits = Float[Array, "b c"]
Labels = Int[Array, " b"]
Scalar: TypeAlias = Callable[[Logits, Labels], Array]
"""Any function (logits, labels) -> [b] or []. Its values for several examples are summed before
differentiation; texts do not interact, so each row of a gradient is that of its own example."""


class Model(Protocol):
    """A Flax Linen module whose forward pass is split at the embeddings.

    What a method `segment_ids(ids, mask)` returns, if it has one, is passed on to
    `logits_from_embeddings` as a keyword.
    """

    def embed(self, ids: Ids, /) -> Tokens: ...

    def logits_from_embeddings(
        self, embeddings: Tokens, mask: Mask, /, *, deterministic: bool
    ) -> Logits: ...

    def apply(self, variables: Any, /, *args: Any, **kwargs: Any) -> Any: ...


def real_tokens(ids: Ids, mask: Mask | None) -> Mask:
    """Returns the mask, all True by default."""
    return jnp.ones(ids.shape, bool) if mask is None else jnp.asarray(mask)


def embed(model: Model, params: Params, ids: Ids) -> Tokens:
    """Returns the token embeddings; UserError if the model lacks a method."""
    for name in ("embed", "logits_from_embeddings"):
        if not hasattr(model, name):
            what = f"{type(model).__name__} cannot be probed: it lacks the method {name}"
            both = "embed(ids) and logits_from_embeddings(embeddings, mask, *, deterministic)"
            raise UserError(f"{what}; expected {both}")
    return jnp.asarray(model.apply({"params": params}, ids, method="embed"))


def logits(
    model: Model, variables: Any, embeddings: Tokens, ids: Ids, mask: Mask, **options: Any
) -> Any:
    """Returns the logits of embeddings, without dropout; the ids give the model's segments."""
    options |= {"deterministic": True, "method": "logits_from_embeddings"}
    if hasattr(model, "segment_ids"):
        options["segment_ids"] = model.segment_ids(ids, mask)
    return model.apply(variables, embeddings, mask, **options)


def variant_segments(model: Any, ids: Ids, mask: Mask) -> tuple[Ids | None, Ids | None]:
    """Returns the segment ids of a Wave Network's two variants, None where a text is one scope."""
    return model.branch_segments(model.segment_ids(ids, mask), mask)


def cross_entropy(logits: Logits, labels: Labels) -> Float[Array, " b"]:
    """Returns the loss of each example, -log p(label), in nats.

    >>> cross_entropy(jnp.array([[0.0, 0.0]]), jnp.array([1]))
    Array([0.6931472], dtype=float32)
    """
    return -class_logit(jax.nn.log_softmax(logits), labels)


def class_logit(logits: Logits, labels: Labels) -> Float[Array, " b"]:
    """Returns the logit of each example's label.

    >>> class_logit(jnp.array([[3.0, 1.0]]), jnp.array([1]))
    Array([1.], dtype=float32)
    """
    return jnp.take_along_axis(logits, labels[..., None], axis=-1)[..., 0]


def margin(logits: Logits, labels: Labels) -> Float[Array, " b"]:
    """Returns the label's logit minus the largest other one; positive where the model is right.

    >>> margin(jnp.array([[3.0, 1.0, 2.0]]), jnp.array([0]))
    Array([1.], dtype=float32)
    """
    is_label = jax.nn.one_hot(labels, logits.shape[-1], dtype=bool)
    return class_logit(logits, labels) - jnp.max(jnp.where(is_label, -jnp.inf, logits), axis=-1)
