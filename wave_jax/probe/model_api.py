"""The seam that models are probed at: token ids -> `embed` -> `logits_from_embeddings` -> logits.

Any Linen module with these two methods can be probed: `embed(ids) -> [b, n, d]` and
`logits_from_embeddings(embeddings, mask, *, deterministic) -> [b, c]`. If it has a method
`segment_ids(ids, mask)` too, what that returns is passed on as `segment_ids`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeAlias

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from wave_jax.errors import UserError

Params: TypeAlias = Mapping[str, Any]
Ids = Int[Array, "b n"]
Mask = Bool[Array, "b n"]
Embeddings = Float[Array, "b n d"]


def real_tokens(ids: Ids, mask: Mask | None) -> Mask:
    """Returns the mask, all True where there is none."""
    return jnp.ones(ids.shape, bool) if mask is None else jnp.asarray(mask)


def embed(model: nn.Module, params: Params, ids: Ids) -> Embeddings:
    """Returns the token embeddings.

    Raises:
      UserError: the model lacks the seam.
    """
    missing = [name for name in ("embed", "logits_from_embeddings") if not hasattr(model, name)]
    if missing:
        raise UserError(
            f"{type(model).__name__} cannot be probed: it lacks the method {missing[0]}; expected "
            "embed(ids) and logits_from_embeddings(embeddings, mask, *, deterministic)"
        )
    return jnp.asarray(model.apply({"params": params}, ids, method="embed"))


def logits_of(
    model: nn.Module,
    variables: Mapping[str, Any],
    embeddings: Embeddings,
    ids: Ids,
    mask: Mask,
    **options: Any,
) -> Any:
    """Returns what the second half of the model makes of embeddings, without dropout.

    Args:
      variables: {'params': ...} and what else `apply` takes.
      ids: where a model's segments depend on them; nothing is embedded.
      options: of `apply`, such as `mutable`.
    """
    if hasattr(model, "segment_ids"):
        options["segment_ids"] = model.segment_ids(ids, mask)
    return model.apply(
        variables, embeddings, mask, deterministic=True, method="logits_from_embeddings", **options
    )


def variant_scopes(
    model: nn.Module, ids: Ids, mask: Mask
) -> tuple[dict[str, Array], dict[str, Array]]:
    """Returns, for each variant of a Wave Network, the scope that the functions of `ops` take.

    {'mask': ...} where the whole text is one scope, else {'segment_ids': ...}.
    """
    sentences = model.segment_ids(ids, mask)  # type: ignore[attr-defined]
    first, second = (
        {"mask": mask} if scope == "input" else {"segment_ids": jnp.where(mask, sentences, 0)}
        for scope in model.scopes  # type: ignore[attr-defined]
    )
    return first, second
