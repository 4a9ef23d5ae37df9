"""Learning-rate schedule and AdamW of everything but a row-wise table."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import jax
import jax.numpy as jnp
import optax

Schedule = Callable[[Any], jax.Array]

EPSILON = 1e-8  # of AdamW, shared by the table's rows


def make_schedule(
    kind: Literal["constant", "cosine"], peak: float, warmup_steps: int, total_steps: int
) -> Schedule:
    """Returns step -> learning rate (float32 scalar): a linear warm-up, then constant or cosine.

    The warm-up takes at most a tenth of all steps and does not waste its first step on a rate of
    zero: `peak (step + 1) / warmup`. The cosine falls to zero at `total_steps`.

    >>> rate = make_schedule("cosine", 1.0, 10, 100)
    >>> [round(float(rate(step)), 3) for step in (0, 9, 10, 55, 100)]
    [0.1, 1.0, 1.0, 0.5, 0.0]
    """
    warmup = min(warmup_steps, total_steps // 10)

    def rate(step: Any) -> jax.Array:
        step = jnp.asarray(step, jnp.float32)
        rising = jnp.minimum(1.0, (step + 1) / max(warmup, 1))
        if kind == "constant":
            return peak * rising
        done = jnp.clip((step - warmup) / max(total_steps - warmup, 1), 0.0, 1.0)
        return peak * rising * 0.5 * (1 + jnp.cos(jnp.pi * done))

    return rate


def decay_mask(params: Any) -> Any:
    """Returns a tree of bools: True for the leaves that weight decay acts on.

    Those are named 'kernel' or 'embedding'; biases, norms' scales and mixing weights keep free.
    """
    return jax.tree_util.tree_map_with_path(
        lambda path, _: getattr(path[-1], "key", None) in ("kernel", "embedding"), params
    )


def make_optimizer(
    schedule: Schedule, *, b1: float, b2: float, weight_decay: float
) -> optax.GradientTransformation:
    """Returns AdamW (Loshchilov and Hutter 2019); weight decay acts on the leaves of `decay_mask`.

    Clipping is not part of it: the norm is taken over these gradients and the table's together.
    """
    return optax.adamw(
        schedule, b1=b1, b2=b2, eps=EPSILON, weight_decay=weight_decay, mask=decay_mask
    )


def clip_factor(norm: jax.Array, clip_norm: float) -> jax.Array:
    """Returns what to multiply gradients by, so that their norm is `clip_norm` at most (0: 1)."""
    if clip_norm <= 0:
        return jnp.ones_like(norm)
    return jnp.where(norm < clip_norm, 1.0, clip_norm / norm)
