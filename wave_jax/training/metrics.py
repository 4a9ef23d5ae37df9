"""Metrics of training: sums and counts on the devices, divided once, on the host."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from wave_jax.errors import UserError

_LAST_BIT = 30  # of an int32 that is not negative; groups beyond share it


@partial(jax.tree_util.register_dataclass)
@dataclasses.dataclass(frozen=True)
class MetricSums:
    """Sums over the training steps since the last row of metrics; float32 or int32 scalars."""

    loss: jax.Array  # sum of the examples' losses
    correct: jax.Array  # examples whose largest logit is their label's
    examples: jax.Array  # examples seen, padding rows excluded
    grad_norm: jax.Array  # sum over steps of the gradient's norm before clipping
    learning_rate: jax.Array  # that of the last step
    steps: jax.Array
    bad_step: jax.Array  # the first step whose loss or gradient was not finite, or -1
    bad_groups: jax.Array  # a bit for each parameter group whose gradient was not, at that step

    def means(self) -> dict[str, float]:
        """Returns the fetched sums as the means of a row of metrics.jsonl."""
        examples, steps = max(float(self.examples), 1.0), max(int(self.steps), 1)
        return {
            "loss": float(self.loss) / examples,
            "accuracy": float(self.correct) / examples,
            "learning_rate": float(self.learning_rate),
            "grad_norm": float(self.grad_norm) / steps,
        }

    def to_json(self) -> dict[str, float]:
        """Returns the sums as plain numbers, from which `from_json` restores them exactly."""
        return {name: value.item() for name, value in vars(jax.device_get(self)).items()}

    @staticmethod
    def from_json(values: Mapping[str, Any]) -> MetricSums:
        """Inverts `to_json`; the sums are numpy scalars."""
        empty = vars(empty_metrics())
        return MetricSums(**{name: zero.dtype.type(values[name]) for name, zero in empty.items()})


def empty_metrics() -> MetricSums:
    """Returns the sums of no step, as numpy scalars."""
    values: dict[str, Any] = {field.name: np.float32(0) for field in dataclasses.fields(MetricSums)}
    return MetricSums(
        **values | {"steps": np.int32(0), "bad_groups": np.int32(0), "bad_step": np.int32(-1)}
    )


def add_step(
    sums: MetricSums,
    *,
    step: jax.Array,
    loss: jax.Array,
    correct: jax.Array,
    examples: jax.Array,
    grad_norm: jax.Array,
    learning_rate: jax.Array,
    bad_groups: jax.Array,
) -> MetricSums:
    """Returns the sums with one more step; `loss`, `correct` and `examples` are its sums."""
    finite = jnp.isfinite(loss) & jnp.isfinite(grad_norm)
    first = (sums.bad_step < 0) & ~finite
    return MetricSums(
        loss=sums.loss + loss,
        correct=sums.correct + correct,
        examples=sums.examples + examples,
        grad_norm=sums.grad_norm + grad_norm,
        learning_rate=learning_rate,
        steps=sums.steps + 1,
        bad_step=jnp.where(first, step, sums.bad_step),
        bad_groups=jnp.where(first, bad_groups, sums.bad_groups),
    )


def balanced_weights(labels: np.ndarray, classes: int) -> np.ndarray:
    """Returns N / (K count) for each class that occurs, float32 [classes]; 1 for the others.

    `labels` are int [N] and K is the number of classes that occur: as in scikit-learn. The texts'
    weights add up to N, and those of every class to N / K.

    >>> balanced_weights(np.array([0, 0, 0, 2]), 3).tolist()
    [0.6666666865348816, 1.0, 2.0]
    """
    counts = np.bincount(labels, minlength=classes)
    present = np.count_nonzero(counts)
    weights = len(labels) / (present * np.maximum(counts, 1))
    return np.where(counts > 0, weights, 1.0).astype(np.float32)


def classification_sums(
    logits: jax.Array,
    labels: jax.Array,
    weights: jax.Array,
    label_smoothing: float = 0.0,
    class_weights: np.ndarray | None = None,
) -> dict[str, jax.Array]:
    """Returns the weighted sums 'loss', 'correct' and 'examples' of a batch, float32 scalars.

    `logits` are [B, C], `labels` int32 [B], `weights` float32 [B], 0 for padding rows. With
    `class_weights` [C] there is a fourth sum, 'objective', in which the loss of a text (smoothed or
    not) is also multiplied by the weight of its class; the others are without.
    """
    logits = logits.astype(jnp.float32)
    targets = optax.smooth_labels(jax.nn.one_hot(labels, logits.shape[-1]), label_smoothing)
    losses = optax.softmax_cross_entropy(logits, targets)
    correct = (jnp.argmax(logits, axis=-1) == labels).astype(jnp.float32)
    # where, not only a product: an infinity in a padding row must not spread
    sums = {
        "loss": jnp.sum(jnp.where(weights > 0, losses * weights, 0.0)),
        "correct": jnp.sum(correct * weights),
        "examples": jnp.sum(weights),
    }
    if class_weights is not None:
        weighted = losses * weights * jnp.asarray(class_weights)[labels]
        sums["objective"] = jnp.sum(jnp.where(weights > 0, weighted, 0.0))
    return sums


class NonFiniteError(UserError):
    """The loss or the gradient of some parameter groups was not finite at a step (from 0).

    `saved` is the step of the newest checkpoint, which is from before, or 0.
    """

    def __init__(self, step: int, groups: Sequence[str], saved: int) -> None:
        self.step, self.groups, self.saved = step, tuple(groups), saved
        where = f"the gradient of {', '.join(groups)}" if groups else "the loss"
        kept = f"the checkpoint of step {saved} is kept" if saved else "none saved"
        super().__init__(
            f"the loss or its gradient was not finite at step {step + 1}, in {where} ({kept}): "
            "lower --train.learning-rate or keep --train.clip-norm above 0"
        )


def group_bits(params: Mapping[str, Any]) -> dict[str, int]:
    """Returns the bit of `MetricSums.bad_groups` that stands for each parameter group.

    >>> group_bits({"embed": {}, "classifier": {}})
    {'classifier': 1, 'embed': 2}
    """
    return {name: 1 << min(i, _LAST_BIT) for i, name in enumerate(sorted(params))}
