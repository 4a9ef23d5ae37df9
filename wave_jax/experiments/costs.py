"""Arithmetic and memory of compiled programs, from shapes alone: nothing is allocated or run."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from wave_jax.data.batches import Batch
from wave_jax.models import build_model
from wave_jax.models.config import ModelConfig
from wave_jax.training.compilation import matmul_precision, program_bytes
from wave_jax.training.config import TrainConfig
from wave_jax.training.mesh import make_mesh
from wave_jax.training.metrics import empty_metrics
from wave_jax.training.state import parameter_counts
from wave_jax.training.task import Task

VOCABULARY, CLASSES = 30_522, 4


class Cost(NamedTuple):
    """Of one call: floating point operations; bytes of arguments, results and temporaries
    together, and of the temporaries alone."""

    flops: float
    bytes: int
    temporary: int


def abstract_params(config: ModelConfig, *, vocabulary: int = VOCABULARY, length: int = 512) -> Any:
    """Returns the shapes of a model's parameters."""
    model = build_model(config, vocab_size=vocabulary, num_classes=CLASSES, max_length=length)
    ids = jax.ShapeDtypeStruct((1, 4), jnp.int32)
    return jax.eval_shape(model.init, jax.random.key(0), ids)["params"]


def count_parameters(config: ModelConfig) -> tuple[int, int]:
    """Returns the parameters with and without the embedding table, for 512 positions."""
    return parameter_counts(abstract_params(config), VOCABULARY)


def gradient_cost(config: ModelConfig, length: int, *, vocabulary: int = 128) -> Cost:
    """Returns the cost of one text's loss and gradients of all parameters, without dropout."""
    model = build_model(config, vocab_size=vocabulary, num_classes=CLASSES, max_length=length)
    params = abstract_params(config, vocabulary=vocabulary, length=length)
    ids, mask = _inputs(1, length)

    def loss(params: Any, ids: jax.Array, mask: jax.Array) -> jax.Array:
        logits = jnp.asarray(model.apply({"params": params}, ids, mask))
        return jnp.sum(jax.nn.log_softmax(logits)[:, 0])

    return _cost(jax.grad(loss), (params, ids, mask))


def attention_cost(dim: int, length: int) -> Cost:
    """Returns the cost of one head's attention and its gradients, given queries, keys, values."""

    def loss(query: jax.Array, key: jax.Array, value: jax.Array) -> jax.Array:
        weights = jax.nn.softmax(query @ key.T / np.sqrt(dim), axis=-1)
        return jnp.sum((weights @ value) ** 2)

    x = jax.ShapeDtypeStruct((length, dim), jnp.float32)
    return _cost(jax.grad(loss, argnums=(0, 1, 2)), (x, x, x))


def plain_step_cost(config: ModelConfig, batch: int, length: int) -> Cost:
    """Returns the cost of `plain_step`."""
    return _compiled(*plain_step(config, batch, length))


def plain_step(config: ModelConfig, batch: int, length: int) -> tuple[Any, tuple[Any, ...]]:
    """Returns a jitted training step with dropout and AdamW of all parameters, and its arguments.

    The same code for every kind; parameters and moments, the first two of what is returned and
    given, are updated in place. Arguments are shapes: parameters, moments, key, ids, mask, labels.
    """
    model = build_model(config, vocab_size=VOCABULARY, num_classes=CLASSES, max_length=512)
    params, optimizer = abstract_params(config), optax.adamw(1e-3)
    ids, mask = _inputs(batch, length)
    labels = jax.ShapeDtypeStruct((batch,), jnp.int32)

    def step(params: Any, moments: Any, key: jax.Array, *inputs: jax.Array) -> Any:
        ids, mask, labels = inputs
        rngs = {"dropout": key, "word_dropout": jax.random.fold_in(key, 1)}

        def loss(params: Any) -> jax.Array:
            logits = model.apply({"params": params}, ids, mask, deterministic=False, rngs=rngs)
            return optax.softmax_cross_entropy_with_integer_labels(logits, labels).mean()

        value, grads = jax.value_and_grad(loss)(params)
        updates, moments = optimizer.update(grads, moments, params)
        return optax.apply_updates(params, updates), moments, value

    moments = jax.eval_shape(optimizer.init, params)
    key = jax.eval_shape(lambda: jax.random.key(0))
    return jax.jit(step, donate_argnums=(0, 1)), (params, moments, key, ids, mask, labels)


def row_step_cost(config: ModelConfig, batch: int, length: int, distinct: int) -> Cost:
    """Returns the cost of the training step as `train` makes it, with that many distinct ids."""
    task = Task(
        config=TrainConfig(steps=1000),
        seed=0,
        model=build_model(config, vocab_size=VOCABULARY, num_classes=CLASSES, max_length=512),
        mesh=make_mesh(1, 1, jax.devices()[:1]),
        batches=None,
        validation=None,
    )
    state = jax.eval_shape(task.new_state)
    root = jax.eval_shape(lambda: jax.random.key(0))
    shape = (batch, length)
    given = Batch(
        distinct=np.zeros(distinct, np.int32),
        inverse=np.zeros(shape, np.int32),
        mask=np.zeros(shape, bool),
        labels=np.zeros(batch, np.int32),
        weights=np.zeros(batch, np.float32),
    )
    return _compiled(task.jitted_step(state), (state, empty_metrics(), root, given))


def _inputs(batch: int, length: int) -> tuple[Any, Any]:
    shape = (batch, length)
    return jax.ShapeDtypeStruct(shape, jnp.int32), jax.ShapeDtypeStruct(shape, jnp.bool_)


def _cost(function: Any, arguments: tuple[Any, ...]) -> Cost:
    return _compiled(jax.jit(function), arguments)


def _compiled(jitted: Any, arguments: tuple[Any, ...]) -> Cost:
    with matmul_precision("float32"):
        program = jitted.lower(*arguments).compile()
    analysis, memory = program.cost_analysis(), program.memory_analysis()
    return Cost(
        flops=float(analysis["flops"]),
        bytes=program_bytes(program) or 0,
        temporary=int(memory.temp_size_in_bytes) if memory else 0,
    )
