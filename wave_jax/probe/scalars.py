"""What can be differentiated: scalars of the logits.

A scalar is any function (logits [b, c], labels [b]) -> [b] or []. What it returns per example is
added up before differentiation; texts do not interact, so each row of the gradients is then that of
the example's own scalar.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

Logits = Float[Array, "b c"]
Labels = Int[Array, " b"]
Scalar: TypeAlias = Callable[[Logits, Labels], Array]


def cross_entropy(logits: Logits, labels: Labels) -> Float[Array, " b"]:
    """Returns the loss of each example, -log p(label), in nats.

    >>> cross_entropy(jnp.array([[0.0, 0.0]]), jnp.array([1]))
    Array([0.6931472], dtype=float32)
    """
    return -_of_label(jax.nn.log_softmax(logits), labels)


def class_logit(logits: Logits, labels: Labels) -> Float[Array, " b"]:
    """Returns the logit of each example's label.

    >>> class_logit(jnp.array([[3.0, 1.0]]), jnp.array([1]))
    Array([1.], dtype=float32)
    """
    return _of_label(logits, labels)


def margin(logits: Logits, labels: Labels) -> Float[Array, " b"]:
    """Returns the label's logit less the largest other one; positive where the model is right.

    >>> margin(jnp.array([[3.0, 1.0, 2.0]]), jnp.array([0]))
    Array([1.], dtype=float32)
    """
    labelled = jax.nn.one_hot(labels, logits.shape[-1], dtype=bool)
    return _of_label(logits, labels) - jnp.max(jnp.where(labelled, -jnp.inf, logits), axis=-1)


def _of_label(values: Logits, labels: Labels) -> Float[Array, " b"]:
    return jnp.take_along_axis(values, labels[..., None], axis=-1)[..., 0]
