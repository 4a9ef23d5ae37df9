"""Prediction of a one-layer network from a table of squared variants, without the projection.

Under [CLS] pooling, without positions and with the whole text as scope, a text's logits depend on
two vectors per variant: u_0 of [CLS], always the same, and r_0 = sqrt(sum_j u_j^2) over its other
tokens. So the squares of every token's variants E W + b are computed once, and prediction is an
embedding bag and a small feed-forward: the network's numbers, up to rounding. A linear path's
weights are further columns of the same bag.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, TypeGuard

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
        and model.position == "none"
        and model.scopes == ("input", "input")
    )


def table_bytes(model: WaveClassifier, table_rows: int) -> int:
    """Returns the memory of a lookup table, float32 for every row of the embedding table."""
    columns = 2 * model.dim + model.linear_columns()
    return np.dtype(np.float32).itemsize * columns * (table_rows + 1)


class LookupTable:
    """A model's squared variants, and prediction from them.

    Attributes:
      squares: float32 [rows + 1, 2 d + c], (variants / scale)^2 of every token, and its weights in
        the linear path, if any (else c is 0); the last row is zero.
      scale: float32 [1, 2 d], powers of two, so that no square overflows or vanishes.
      cls: float32 [2, d], the variants of [CLS].
    """

    def __init__(self, model: WaveClassifier, params: Any, *, cls_id: int) -> None:
        """Computes the table of a model that `supports` one."""
        self._head = {name: leaf for name, leaf in params.items() if name != "embed"}
        make = jax.jit(partial(_make_table, model, cls_id))
        with matmul_precision("float32"):
            self.squares, self.scale, self.cls = make(self._head, params["embed"]["embedding"])
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
        ids = np.full((rows, width), self.squares.shape[0] - 1, np.int32)
        for row, text in enumerate(chosen.tolist()):
            end = tokens.offsets[text + 1]
            ids[row, : others[text]] = tokens.ids[end - others[text] : end]
        table = self.squares, self.scale, self.cls
        with matmul_precision("float32"):
            return self._forward(self._head, table, ids, -(-most // _UNROLLED))


_Table = tuple[Float[Array, "w 2d+c"], Float[Array, "1 2d"], Float[Array, "2 d"]]


def _make_table(
    model: WaveClassifier, cls_id: int, head: Any, embeddings: Float[Array, "v d"]
) -> _Table:
    embeddings, weights = jnp.split(embeddings, [embeddings.shape[1] - model.linear_columns()], 1)
    variants: Any = model.apply({"params": head}, embeddings, method="project")
    squares, scale = ops.scaled_squares(variants.reshape(embeddings.shape[0], -1))
    table = jnp.concatenate([squares, weights], axis=1)
    return jnp.pad(table, ((0, 1), (0, 0))), scale, variants[cls_id]


def _logits(
    model: WaveClassifier, head: Any, table: _Table, ids: Int[Array, "b n"], loops: Int[Array, ""]
) -> Float[Array, "b c"]:
    """Sums the rows of each text's tokens, `_UNROLLED` per iteration, and runs the model's rest."""
    squares, scale, cls = table

    def add(i: Array, total: Array) -> Array:
        at = jax.lax.dynamic_slice_in_dim(ids, i * _UNROLLED, _UNROLLED, axis=1)
        rows = (squares.at[at[:, k]].get(mode="promise_in_bounds") for k in range(_UNROLLED))
        return total + sum(rows)

    zeros = jnp.zeros((ids.shape[0], squares.shape[1]), squares.dtype)
    total = jax.lax.fori_loop(0, loops, add, zeros)
    total, weights = jnp.split(total, [cls.size], axis=1)
    rest = ops.norm_from_squares(total, scale).reshape(-1, *cls.shape)
    own = jnp.broadcast_to(cls, rest.shape)
    linear = scale_linear(weights, jnp.sum(ids < squares.shape[0] - 1, axis=1))
    found: Any = model.apply({"params": head}, own, rest, linear, method="logits_of_first")
    return jnp.asarray(found, jnp.float32)
