"""A one-layer network without its projection: (E W + b)^2 as a table to look sums up in.

Under [CLS] pooling, without positions and with the whole text as scope, a text comes into the
result through two vectors: the variants of [CLS], the same for every text, and the sums of its
other tokens' squared variants. So prediction is a bag of rows and a small feed-forward, the same
numbers as the network's up to rounding.
"""

from __future__ import annotations

from functools import partial
from typing import Any, TypeGuard

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn
from jaxtyping import Array, Float, Int

from wave_jax.data.tokenizer import Tokens
from wave_jax.models import WaveClassifier
from wave_jax.training.compilation import matmul_precision

_FLOAT_BYTES = 4
_TOKENS_AT_ONCE = 4  # of a text; its padded length divides by this
_ROWS = (1, 64, 256)  # texts of a batch
_LENGTHS = (32, 128, 512)  # padding costs next to nothing, so these and four times more each


def can_fold(model: nn.Module) -> TypeGuard[WaveClassifier]:
    """Returns whether a model's prediction can do without the projection."""
    return (
        isinstance(model, WaveClassifier)
        and model.pooling == "cls"
        and model.layers == 1
        and model.position == "none"
        and model.scopes == ("input", "input")
    )


def folded_bytes(model: WaveClassifier, table_rows: int) -> int:
    """Returns the memory of the lookup table: a row of 2 d float32 for every row of the table."""
    return _FLOAT_BYTES * 2 * model.dim * (table_rows + 1)


class Folded:
    """The lookup table of a model, and prediction from it.

    Attributes:
      squares: float32 [rows + 1, 2 d], squared variants of every token; the last row is zero.
      cls: float32 [2, d], the variants of [CLS].
    """

    def __init__(self, model: WaveClassifier, params: Any, *, cls_id: int) -> None:
        """Folds; ValueError for a model that `can_fold` refuses."""
        if not can_fold(model):
            raise ValueError("only one layer under [CLS] pooling without positions can be folded")
        self._head = {name: leaf for name, leaf in params.items() if name != "embed"}
        with matmul_precision("float32"):
            table = params["embed"]["embedding"]
            self.squares, self.cls = jax.jit(partial(_fold, model, cls_id))(self._head, table)
        self._filler = self.squares.shape[0] - 1
        self._forward = jax.jit(partial(_logits, model))

    def __call__(self, tokens: Tokens) -> np.ndarray:
        """Returns the logits float32 [texts, classes] of texts that begin with [CLS]."""
        lengths = tokens.lengths
        order = np.argsort(lengths, kind="stable")
        parts = [
            self._run(tokens, order[start : start + _ROWS[-1]], lengths)
            for start in range(0, len(order), _ROWS[-1])
        ]  # dispatched, not waited for
        found = np.concatenate([np.asarray(part) for part in parts])[: len(order)]
        logits = np.empty_like(found)
        logits[order] = found
        return logits

    def _run(self, tokens: Tokens, chosen: np.ndarray, lengths: np.ndarray) -> jax.Array:
        rows = next(size for size in _ROWS if len(chosen) <= size)
        size = lengths[chosen]
        longest = int(size.max())
        ids = np.full((rows, _padded_length(longest)), self._filler, np.int32)
        for row, text in enumerate(chosen.tolist()):
            ids[row, : size[row] - 1] = tokens.ids[
                tokens.offsets[text] + 1 : tokens.offsets[text + 1]
            ]
        turns = -(-(longest - 1) // _TOKENS_AT_ONCE)
        with matmul_precision("float32"):
            logits: jax.Array = self._forward(self._head, self.squares, self.cls, ids, turns)
        return logits


def _fold(
    model: WaveClassifier, cls_id: int, head: Any, table: Float[Array, "v d"]
) -> tuple[Float[Array, "w 2d"], Float[Array, "2 d"]]:
    variants: Any = model.apply({"params": head}, table, method="project")
    squares = jnp.square(variants.reshape(table.shape[0], -1))
    return jnp.pad(squares, ((0, 1), (0, 0))), variants[cls_id]


def _logits(
    model: WaveClassifier,
    head: Any,
    squares: Float[Array, "w 2d"],
    cls: Float[Array, "2 d"],
    ids: Int[Array, "b n"],
    turns: Int[Array, ""],
) -> Float[Array, "b c"]:
    """Adds up the rows of a text's tokens, a few tokens a turn, and finishes the network."""
    texts = ids.shape[0]

    def add(turn: Array, total: Array) -> Array:
        at = jax.lax.dynamic_slice_in_dim(ids, turn * _TOKENS_AT_ONCE, _TOKENS_AT_ONCE, axis=1)
        return total + sum(
            squares.at[at[:, place]].get(mode="promise_in_bounds")
            for place in range(_TOKENS_AT_ONCE)
        )

    total = jax.lax.fori_loop(0, turns, add, jnp.zeros((texts, squares.shape[1]), squares.dtype))
    others = jnp.sqrt(total).reshape(texts, *cls.shape)
    own = jnp.broadcast_to(cls, others.shape)
    found: Any = model.apply({"params": head}, own, others, method="logits_of_first")
    return jnp.asarray(found, jnp.float32)


def _padded_length(longest: int) -> int:
    length = _LENGTHS[0]
    steps = iter(_LENGTHS[1:])
    while length < longest:
        length = next(steps, 4 * length)
    return length
