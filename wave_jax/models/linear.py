"""The linear path: a weight for each token and class."""

from __future__ import annotations

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from wave_jax import ops
from wave_jax.models.base import Ids, Logits, Mask, Rows

_SMOOTHING = 1.0  # texts added to those that hold a token, of each class


def linear_logits(weights: Float[Array, "b n c"], mask: Mask) -> Logits:
    """Returns the sum of the weights of all tokens but the first, over the root of their count.

    >>> linear_logits(jnp.array([[[9.0], [1.0], [3.0]]]), jnp.array([[True, True, False]]))
    Array([[1.]], dtype=float32)
    """
    others = ops.others_of_first(mask)
    total = jnp.sum(jnp.where(others[..., None], weights, 0), axis=1)
    return scale_linear(total, jnp.sum(others, axis=1))


def linear_logits_by_counts(weights: Rows, inverse: Ids, mask: Mask) -> Logits:
    """Returns `linear_logits(weights[inverse], mask)`, as a product with the tokens' counts."""
    others = ops.others_of_first(mask)
    total = ops.sum_by_counts(weights, inverse, others)
    return scale_linear(total, jnp.sum(others, axis=1))


def scale_linear(total: Logits, count: Int[Array, " b"]) -> Logits:
    """Returns the sums [b, c] over `count` [b] tokens, divided by the root of the count."""
    return total * jax.lax.rsqrt(jnp.maximum(count, 1).astype(total.dtype))[:, None]


def naive_bayes(
    ids: np.ndarray, offsets: np.ndarray, labels: np.ndarray, rows: int, classes: int
) -> np.ndarray:
    """Returns the weights of multinomial naive Bayes over whether a text has a token.

    w[token, class] = log p(token | class), less its mean over the classes, where p is the share
    among the class's pairs of a text and a token in it, each count raised by 1 (Wang and Manning
    2012, section 2.1).

    Args:
      ids, offsets: text i has the tokens ids[offsets[i]:offsets[i + 1]].
      labels: int [texts].

    Returns:
      float32 [rows, classes].

    >>> naive_bayes(np.array([1, 1, 0]), np.array([0, 2, 3]), np.array([0, 1]), 2, 2).round(2)
    array([[-0.35,  0.35],
           [ 0.35, -0.35]], dtype=float32)
    """
    texts = np.repeat(np.arange(len(labels)), np.diff(offsets))
    pairs = np.unique(texts * rows + ids)
    counts = np.bincount(pairs % rows * classes + labels[pairs // rows], minlength=rows * classes)
    smooth = counts.reshape(rows, classes) + _SMOOTHING
    logs = np.log(smooth / smooth.sum(axis=0))
    found: np.ndarray = (logs - logs.mean(axis=1, keepdims=True)).astype(np.float32)
    return found


def zero_after(columns: int, init: nn.initializers.Initializer) -> nn.initializers.Initializer:
    """Returns an initializer of tables [rows, n]: `init` for the first columns, zero for others."""

    def initialize(key: Array, shape: tuple[int, int], dtype: jnp.dtype = jnp.float32) -> Array:
        table = init(key, (shape[0], columns), dtype)
        return jnp.pad(table, ((0, 0), (0, shape[1] - columns)))

    return initialize
