"""Sums and counts of a stretch of steps, kept on the devices; divided once, on the host."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax


@partial(jax.tree_util.register_dataclass)
@dataclasses.dataclass(frozen=True)
class Sums:
    """What a stretch of training adds up; every field a scalar.

    Attributes:
        loss: float32, sum over examples of their loss.
        correct: float32, examples whose largest logit is their label's.
        examples: float32, examples seen; rows that fill up a batch do not count.
        grad_norm: float32, sum over steps of the gradient's norm before clipping.
        learning_rate: float32, that of the last step.
        steps: int32.
        bad_step: int32, the first step whose loss or gradient was not finite, or -1.
        bad_groups: int32, a bit for each parameter group whose gradient was not, at that step.
        skipped: int32, steps left out for that reason.
    """

    loss: jax.Array
    correct: jax.Array
    examples: jax.Array
    grad_norm: jax.Array
    learning_rate: jax.Array
    steps: jax.Array
    bad_step: jax.Array
    bad_groups: jax.Array
    skipped: jax.Array

    def means(self) -> dict[str, float]:
        """Returns the fetched sums as the means that a row of metrics.jsonl shows."""
        examples, steps = max(float(self.examples), 1.0), max(int(self.steps), 1)
        skipped = {"skipped": int(self.skipped)} if self.skipped else {}
        return {
            "loss": float(self.loss) / examples,
            "accuracy": float(self.correct) / examples,
            "learning_rate": float(self.learning_rate),
            "grad_norm": float(self.grad_norm) / max(steps - int(self.skipped), 1),
            **skipped,
        }


def empty_sums() -> Sums:
    """Returns the sums of no step, as numpy scalars."""
    values: dict[str, Any] = {field.name: np.float32(0) for field in dataclasses.fields(Sums)}
    counts = {name: np.int32(0) for name in ("steps", "bad_groups", "skipped")}
    return Sums(**values | counts | {"bad_step": np.int32(-1)})


def add_step(
    sums: Sums,
    *,
    step: jax.Array,
    loss: jax.Array,
    correct: jax.Array,
    examples: jax.Array,
    grad_norm: jax.Array,
    learning_rate: jax.Array,
    bad_groups: jax.Array,
    skip: bool = False,
) -> Sums:
    """Returns the sums with one more step; `loss`, `correct` and `examples` are its sums.

    Args:
        bad_groups: int32, the bits of the parameter groups whose gradient is not finite.
        skip: a step that is not finite is counted as skipped, and as nothing else.
    """
    finite = jnp.isfinite(loss) & jnp.isfinite(grad_norm)
    if skip:
        zero = jnp.zeros((), jnp.float32)
        loss, correct, examples, grad_norm = (
            jnp.where(finite, value, zero) for value in (loss, correct, examples, grad_norm)
        )
        skipped = sums.skipped + jnp.where(finite, 0, 1)
        first = jnp.zeros((), bool)
    else:
        skipped, first = sums.skipped, (sums.bad_step < 0) & ~finite
    return Sums(
        loss=sums.loss + loss,
        correct=sums.correct + correct,
        examples=sums.examples + examples,
        grad_norm=sums.grad_norm + grad_norm,
        learning_rate=learning_rate,
        steps=sums.steps + 1,
        bad_step=jnp.where(first, step, sums.bad_step),
        bad_groups=jnp.where(first, bad_groups, sums.bad_groups),
        skipped=skipped,
    )


def sums_to_json(sums: Sums) -> dict[str, float]:
    """Returns the sums as plain numbers; float32 survives the way there and back exactly."""
    return {name: value.item() for name, value in vars(jax.device_get(sums)).items()}


def sums_from_json(values: Mapping[str, Any]) -> Sums:
    """Returns the sums of `sums_to_json`, as numpy scalars."""
    empty = vars(empty_sums())
    return Sums(**{name: empty[name].dtype.type(values.get(name, empty[name])) for name in empty})


def classification(
    logits: jax.Array, labels: jax.Array, weights: jax.Array, label_smoothing: float = 0.0
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Returns the weighted sums (loss, correct, examples) of a batch, float32 scalars.

    Args:
        logits: [B, C].
        labels: int32 [B].
        weights: float32 [B], 0 for rows that only fill up the batch.
        label_smoothing: share of the target spread evenly over the classes.
    """
    logits = logits.astype(jnp.float32)
    targets = optax.smooth_labels(jax.nn.one_hot(labels, logits.shape[-1]), label_smoothing)
    losses = optax.softmax_cross_entropy(logits, targets)
    correct = (jnp.argmax(logits, axis=-1) == labels).astype(jnp.float32)
    # where, not only a product: an infinity in a row that does not count must not spread
    return (
        jnp.sum(jnp.where(weights > 0, losses * weights, 0.0)),
        jnp.sum(correct * weights),
        jnp.sum(weights),
    )
