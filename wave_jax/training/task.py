"""What stays fixed while a network learns: model, data, learning rate, optimizer, jitted step."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from functools import cached_property, partial
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import linen as nn
from jax.sharding import Mesh

from wave_jax.training.config import TrainConfig, epochs_for
from wave_jax.training.mesh import put, replicated, state_shardings
from wave_jax.training.sparse_adamw import EPSILON, init_rows, update_rows
from wave_jax.training.state import State, split_table, with_params
from wave_jax.training.step import TrainStep, has_rows

_EXAMPLE = (1, 4)  # rows and tokens that parameters are initialised with


@dataclasses.dataclass(frozen=True)
class Task:
    """A network, its data and how it learns."""

    config: TrainConfig
    seed: int  # of initialisation and dropout (the batches have theirs already)
    model: nn.Module  # see `TrainStep`
    mesh: Mesh
    batches: Any  # TrainBatches
    validation: Any  # EvalBatches; None: nothing is validated, so the last parameters count
    initial: Mapping[str, Any] | None = None  # to start from; what is missing or NaN is drawn
    class_weights: np.ndarray | None = None  # float32 [C], see `TrainStep`

    @property
    def steps_per_epoch(self) -> int:
        """Steps that show every training text once."""
        return len(self.batches)

    @property
    def total_steps(self) -> int:
        """Steps of the whole training."""
        epochs = self.config.epochs or epochs_for(len(self.batches.lengths))
        return self.config.steps or epochs * self.steps_per_epoch

    @property
    def sparse(self) -> bool:
        """Whether sparse AdamW updates the table, at the rows of a batch; optax updates all."""
        return self.config.table_optimizer == "rows" and has_rows(self.model)

    @cached_property
    def schedule(self) -> optax.Schedule:
        """Step -> learning rate."""
        c = self.config
        return make_schedule(c.schedule, c.learning_rate, c.warmup_steps, self.total_steps)

    @cached_property
    def optimizer(self) -> optax.GradientTransformation:
        """AdamW of all parameters, or all but the table; clipping is part of the step."""
        adamw = optax.adamw(self.schedule, **self._constants, eps=EPSILON, mask=decay_mask)
        if self.config.table_optimizer != "frozen":
            return adamw
        return optax.partition({True: optax.set_to_zero(), False: adamw}, table_mask)

    @property
    def _constants(self) -> dict[str, Any]:
        """Constants of AdamW, of the table and of all else."""
        return {name: getattr(self.config, name) for name in ("b1", "b2", "weight_decay")}

    @cached_property
    def learner(self) -> nn.Module:
        """The model without word dropout where the batches have dropped words already."""
        if getattr(self.batches, "word_dropout", 0.0):
            return self.model.clone(word_dropout=0.0)
        return self.model

    def root_key(self) -> jax.Array:
        """Returns the key that every step's randomness is folded from, on all devices."""
        key = jax.random.key(self.seed)
        data = put(jax.random.key_data(key), replicated(self.mesh))
        return jax.random.wrap_key_data(data, impl=jax.random.key_impl(key))

    def new_state(self) -> State:
        """Returns the state before the first step, created sharded by one jitted call."""

        def create(key: jax.Array) -> State:
            ids = jnp.zeros(_EXAMPLE, jnp.int32)
            params = dict(self.model.init(key, ids, jnp.ones(_EXAMPLE, bool))["params"])
            rest, table = split_table(params)
            rest, rows = (rest, init_rows(table)) if self.sparse else (params, None)
            return State(jnp.zeros((), jnp.int32), params, self.optimizer.init(rest), rows)

        key = jax.random.split(jax.random.key(self.seed))[0]  # initialisation has one of its own
        shardings = state_shardings(self.mesh, jax.eval_shape(create, key))
        state = jax.jit(create, out_shardings=shardings)(key)
        return state if self.initial is None else with_params(state, self.initial)

    def jitted_step(self, state: State) -> Any:
        """Returns the jitted training step; it donates the state passed to it."""
        rows, learner, mesh = partial(update_rows, **self._constants), self.learner, self.mesh
        fixed = (self.optimizer, self.schedule, rows, mesh, self.config, self.class_weights)
        made = TrainStep(learner, *fixed)
        shardings = (state_shardings(mesh, state), replicated(mesh))
        return jax.jit(made.step, donate_argnums=0, out_shardings=shardings)


def make_schedule(
    kind: Literal["constant", "cosine"], peak: float, warmup_steps: int, total_steps: int
) -> optax.Schedule:
    """Returns step -> learning rate (float32 scalar): a linear warm-up, then constant or cosine.

    The warm-up takes at most a tenth of all steps and starts above zero, `peak (step + 1) /
    warmup`. The cosine falls to zero at `total_steps`.

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


def table_mask(params: Any) -> Any:
    """Returns a tree of bools: True at the embedding table."""
    return jax.tree_util.tree_map_with_path(
        lambda path, _: [getattr(k, "key", None) for k in path] == ["embed", "embedding"], params
    )


def decay_mask(params: Any) -> Any:
    """Returns a tree of bools: True at the leaves that weight decay acts on.

    Those are named 'kernel' or 'embedding'; biases, norms' scales and mixing weights have none.
    """
    return jax.tree_util.tree_map_with_path(
        lambda path, _: getattr(path[-1], "key", None) in ("kernel", "embedding"), params
    )
