"""Prediction of a one-layer network from a table of variants, without the projection.

Under [CLS] pooling and with the whole text as scope, a text's logits depend on two vectors per
variant: u_0 of [CLS], always the same, and r_0 = sqrt(sum_j u_j^2) over its other tokens. So the
squares of every token's variants E W + b are computed once, and prediction is an embedding bag and
a small feed-forward: the network's numbers, up to rounding. With positions u_j is (E W + b) + P W,
two rows of which the second depends on j alone: both are looked up, and the sum is squared. A
linear path's weights are further columns of the same bag.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple, TypeGuard

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn
from jaxtyping import Array, Float, Int

from wave_jax import ops
from wave_jax.data.tokenizer import Tokens
from wave_jax.models import WaveClassifier
from wave_jax.models.base import scale_linear
from wave_jax.training.compilation import matmul_precision

_UNROLLED = 4  # tokens of a text that are added per iteration
_ROWS = (1, 64, 256)  # texts per batch
_SHORTEST = 32  # padded length; the others are 4, 16, ... times as long, as padding is cheap


def supports(model: nn.Module) -> TypeGuard[WaveClassifier]:
    """Returns whether a model can predict from a lookup table."""
    return (
        isinstance(model, WaveClassifier)
        and model.pooling == "cls"
        and model.layers == 1
        and model.scopes == ("input", "input")
    )


def table_bytes(model: WaveClassifier, table_rows: int, longest: int) -> int:
    """Returns the memory of a lookup table, float32 for every row and every position."""
    waves, ordered = 2 * model.dim, model.position != "none"
    numbers = (waves + model.linear_columns()) * (table_rows + 1) + waves * longest * ordered
    return np.dtype(np.float32).itemsize * numbers


class Table(NamedTuple):
    """A model's variants over `scale`, powers of two so that no square overflows or vanishes."""

    rows: Float[Array, "w 2d+c"]  # tokens, squared without positions; linear path; the last is 0
    places: Float[Array, "n 2d"] | None  # what positions add
    scale: Float[Array, "1 2d"]
    cls: Float[Array, "2 d"]  # variants of [CLS], not scaled


class LookupTable:
    """A model's `table`, and prediction from it."""

    def __init__(self, model: WaveClassifier, params: Any, *, cls_id: int, longest: int) -> None:
        """Computes the table of a model that `supports` one, for texts of `longest` tokens."""
        self._head = {name: leaf for name, leaf in params.items() if name != "embed"}
        make = jax.jit(partial(_make_table, model, cls_id, longest))
        with matmul_precision("float32"):
            self.table: Table = make(self._head, params["embed"]["embedding"])
        self._forward: Callable[..., jax.Array] = jax.jit(partial(_logits, model))

    def __call__(self, tokens: Tokens) -> np.ndarray:
        """Returns the logits float32 [texts, classes] of texts that begin with [CLS]."""
        others = tokens.lengths - 1  # all but [CLS]
        order = np.argsort(others, kind="stable")
        batches = np.split(order, range(_ROWS[-1], len(order), _ROWS[-1]))
        results = [self._run(tokens, others, chosen) for chosen in batches]  # all are dispatched
        found = np.concatenate(jax.device_get(results))[: len(order)]
        return found[np.argsort(order)]

    def _run(self, tokens: Tokens, others: np.ndarray, chosen: np.ndarray) -> jax.Array:
        """Returns the logits of the chosen texts, followed by those of padding rows."""
        most = int(others[chosen].max())
        width = _SHORTEST
        while width <= most:
            width *= 4
        rows = next(size for size in _ROWS if len(chosen) <= size)
        ids = np.full((rows, width), self.table.rows.shape[0] - 1, np.int32)
        for row, text in enumerate(chosen.tolist()):
            end = tokens.offsets[text + 1]
            ids[row, : others[text]] = tokens.ids[end - others[text] : end]
        with matmul_precision("float32"):
            return self._forward(self._head, self.table, ids, -(-most // _UNROLLED))


def _make_table(
    model: WaveClassifier, cls_id: int, longest: int, head: Any, embeddings: Float[Array, "v d"]
) -> Table:
    def run(method: str, argument: Any) -> Any:
        return model.apply({"params": head}, argument, method=method)

    embeddings, weights = jnp.split(embeddings, [embeddings.shape[1] - model.linear_columns()], 1)
    variants, positions = run("project", embeddings), run("positions", longest)
    cls, flat, places = variants[cls_id], variants.reshape(embeddings.shape[0], -1), None
    rows, scale = ops.scaled_squares(flat)
    if positions is not None:
        added = run("project_positions", positions)
        cls, places = cls + added[0], added.reshape(longest, -1)
        scale = ops.scaled_squares(jnp.concatenate([flat, places]))[1]
        rows, places = flat / scale, places / scale
    rows = jnp.pad(jnp.concatenate([rows, weights], axis=1), ((0, 1), (0, 0)))
    return Table(rows, places, scale, cls)


def _logits(
    model: WaveClassifier, head: Any, table: Table, ids: Int[Array, "b n"], loops: Int[Array, ""]
) -> Float[Array, "b c"]:
    """Sums the rows of each text's tokens, `_UNROLLED` per iteration, and runs the model's rest."""
    rows, places, scale, cls = table
    padding = rows.shape[0] - 1

    def row(at: Int[Array, " b"], place: Array) -> Array:
        found = rows.at[at].get(mode="promise_in_bounds")
        if places is None:
            return found
        wave, weights = jnp.split(found, [cls.size], axis=1)
        wave = jnp.where((at < padding)[:, None], wave + places.at[place].get(mode="clip"), 0)
        return jnp.concatenate([wave**2, weights], axis=1)

    def add(i: Array, total: Array) -> Array:
        at = jax.lax.dynamic_slice_in_dim(ids, i * _UNROLLED, _UNROLLED, axis=1)
        return total + sum(row(at[:, k], 1 + i * _UNROLLED + k) for k in range(_UNROLLED))

    zeros = jnp.zeros((ids.shape[0], rows.shape[1]), rows.dtype)
    total = jax.lax.fori_loop(0, loops, add, zeros)
    total, weights = jnp.split(total, [cls.size], axis=1)
    rest = ops.norm_from_squares(total, scale).reshape(-1, *cls.shape)
    own = jnp.broadcast_to(cls, rest.shape)
    linear = scale_linear(weights, jnp.sum(ids < padding, axis=1))
    found: Any = model.apply({"params": head}, own, rest, linear, method="logits_of_first")
    return jnp.asarray(found, jnp.float32)
