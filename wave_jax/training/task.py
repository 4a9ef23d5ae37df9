"""What is fixed while a network learns, and the jitted step that follows from it."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from functools import cached_property
from typing import Any

import jax
import jax.numpy as jnp
import optax
from flax import linen as nn
from jax.sharding import Mesh

from wave_jax.errors import UserError
from wave_jax.training.config import TrainConfig
from wave_jax.training.mesh import put, replicated, state_shardings
from wave_jax.training.optimizer import Schedule, make_optimizer, make_schedule
from wave_jax.training.sparse_adamw import SparseAdamW
from wave_jax.training.state import Params, State, create_state, with_params
from wave_jax.training.step import has_rows, make_train_step

_EXAMPLE = (1, 4)  # rows and tokens that parameters are initialised with


@dataclasses.dataclass(frozen=True)
class Task:
    """A network, its data and how it learns.

    Attributes:
        config: how the parameters are learned.
        seed: of initialisation and dropout (the batches have theirs already).
        model: a Linen module, see `make_train_step`.
        mesh: the devices.
        batches: TrainBatches.
        validation: EvalBatches.
        initial: parameters to start from instead of freshly drawn ones, nested like `params`; what
            it leaves out is drawn.
    """

    config: TrainConfig
    seed: int
    model: nn.Module
    mesh: Mesh
    batches: Any
    validation: Any
    initial: Mapping[str, Any] | None = None

    @property
    def steps_per_epoch(self) -> int:
        """Steps that show every training text once."""
        return len(self.batches)

    @property
    def total_steps(self) -> int:
        """Steps of the whole training."""
        if self.config.steps is not None:
            return self.config.steps
        return self.config.epochs * self.steps_per_epoch

    @property
    def rowwise(self) -> bool:
        """Whether the table is updated at the rows of a batch only."""
        return self.config.table_optimizer == "rows" and has_rows(self.model)

    @cached_property
    def schedule(self) -> Schedule:
        """Step -> learning rate."""
        c = self.config
        return make_schedule(c.schedule, c.learning_rate, c.warmup_steps, self.total_steps)

    @cached_property
    def optimizer(self) -> optax.GradientTransformation:
        """AdamW of the parameters, of a row-wise table apart."""
        c = self.config
        return make_optimizer(self.schedule, b1=c.b1, b2=c.b2, weight_decay=c.weight_decay)

    @cached_property
    def learner(self) -> nn.Module:
        """The network as the training step runs it: batches may have dropped words already."""
        if getattr(self.batches, "word_dropout", 0.0):
            return self.model.clone(word_dropout=0.0)
        return self.model

    def root_key(self) -> jax.Array:
        """Returns the key that every step's randomness is folded from, on all devices."""
        key = jax.random.key(self.seed)
        return jax.random.wrap_key_data(
            put(jax.random.key_data(key), replicated(self.mesh)), impl=jax.random.key_impl(key)
        )

    def new_state(self) -> State:
        """Returns the state before the first step; initialisation has a stream of its own."""

        def init(key: jax.Array) -> Params:
            ids = jnp.zeros(_EXAMPLE, jnp.int32)
            return dict(self.model.init(key, ids, jnp.ones(_EXAMPLE, bool))["params"])

        key = jax.random.split(jax.random.key(self.seed))[0]
        state = create_state(init, key, self.mesh, self.optimizer, rowwise=self.rowwise)
        return state if self.initial is None else with_params(state, self.initial)

    def jitted_step(self, state: State) -> Any:
        """Returns the jitted training step; it takes over (donates) the state given to it."""
        c = self.config
        step = make_train_step(
            self.learner,
            self.optimizer,
            self.schedule,
            self.mesh,
            sparse=SparseAdamW(c.b1, c.b2, c.weight_decay) if self.rowwise else None,
            clip_norm=c.clip_norm,
            label_smoothing=c.label_smoothing,
            skip_nonfinite=c.on_nonfinite == "skip",
        )
        shardings = (state_shardings(self.mesh, state), replicated(self.mesh))
        return jax.jit(step, donate_argnums=0, out_shardings=shardings)


def check_train_config(config: TrainConfig) -> None:
    """Raises UserError for a value out of its range, naming the option."""
    least: dict[str, float] = {
        "epochs": 1, "batch_size": 1, "eval_batch_size": 1, "log_every": 1, "keep": 1,
        "warmup_steps": 0, "weight_decay": 0, "clip_norm": 0, "early_stopping": 0,
    }  # fmt: skip
    for name in ("steps", "eval_every", "checkpoint_every"):
        if getattr(config, name) is not None:
            least[name] = 1
    for name, low in least.items():
        value = getattr(config, name)
        if not value >= low:
            raise UserError(f"--train.{name.replace('_', '-')} is {value}, expected {low} or more")
    for name in ("b1", "b2", "label_smoothing"):
        value = getattr(config, name)
        if not 0 <= value < 1:
            option = name.replace("_", "-")
            raise UserError(f"--train.{option} is {value}, expected 0 <= value < 1")
    if not 0 < config.learning_rate < float("inf"):
        raise UserError(f"--train.learning-rate is {config.learning_rate}, expected more than 0")
    if config.learning_rate * config.weight_decay >= 1:
        raise UserError(
            "--train.learning-rate times --train.weight-decay is 1 or more: every step would wipe "
            "the parameters out"
        )
