"""Arithmetic and memory of compiled programs, from shapes alone, and the time of training steps."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from wave_jax.data.batches import Batch
from wave_jax.experiments.plan import Job, make_key
from wave_jax.models import build_model
from wave_jax.models.config import ModelConfig
from wave_jax.training.compilation import matmul_precision, program_bytes
from wave_jax.training.config import TrainConfig
from wave_jax.training.mesh import make_mesh
from wave_jax.training.metrics import empty_metrics
from wave_jax.training.state import parameter_counts
from wave_jax.training.task import Task

VOCABULARY, CLASSES = 30_522, 4
Values = dict[str, Any]
Measurement = Callable[[], Values]


def cost_job(name: str, config: Values, count: Measurement, seconds: Measurement = dict) -> Job:
    """Returns a job with the result of `count` and the time of `seconds`."""
    return Job(make_key(name, config), config, lambda work, console: (count(), seconds()))


def count_parameters(config: ModelConfig) -> tuple[int, int]:
    """Returns the parameters with and without the embedding table, for 512 positions."""
    return parameter_counts(model_and_shapes(config)[1], VOCABULARY)


def gradient_cost(config: ModelConfig, length: int) -> Values:
    """Returns the cost of one text's loss and gradients, without dropout; the table is small."""
    model, params = model_and_shapes(config, 128, length)

    def loss(params: Any, ids: jax.Array, mask: jax.Array) -> jax.Array:
        logits = jnp.asarray(model.apply({"params": params}, ids, mask))
        return jnp.sum(jax.nn.log_softmax(logits)[:, 0])

    return _cost(jax.jit(jax.grad(loss)), params, *_inputs(1, length))


def attention_cost(dim: int, length: int) -> Values:
    """Returns the cost of one head's attention and its gradients, given queries, keys, values."""

    def loss(query: jax.Array, key: jax.Array, value: jax.Array) -> jax.Array:
        weights = jax.nn.softmax(query @ key.T / np.sqrt(dim), axis=-1)
        return jnp.sum((weights @ value) ** 2)

    x = jax.ShapeDtypeStruct((length, dim), jnp.float32)
    return _cost(jax.jit(jax.grad(loss, argnums=(0, 1, 2))), x, x, x)


def plain_step_cost(config: ModelConfig, batch: int, length: int) -> Values:
    """Returns the cost of a training step with AdamW of all parameters."""
    return _cost(*_plain_step(config, batch, length))


def row_step_cost(config: ModelConfig, batch: int, length: int) -> Values:
    """Returns the cost of a training step as `train` makes it, where no token occurs twice."""
    model, mesh = model_and_shapes(config)[0], make_mesh(1, 1)
    train = TrainConfig(steps=1000)
    task = Task(config=train, seed=0, model=model, mesh=mesh, batches=None, validation=None)
    state, key = jax.eval_shape(task.new_state), jax.eval_shape(jax.random.key, 0)
    ids = np.zeros((batch, length), np.int32)
    given = Batch(
        distinct=np.zeros(ids.size, np.int32), inverse=ids, mask=ids.astype(bool),
        labels=np.zeros(batch, np.int32), weights=np.zeros(batch, np.float32),
    )  # fmt: skip
    return _cost(task.jitted_step(state), state, empty_metrics(), key, given)


def step_seconds(config: ModelConfig, batch: int, length: int, steps: int) -> Values:
    """Returns the median time of steps of `plain_step_cost`, and the time of the first."""

    def filled(shape: Any) -> jax.Array:  # real tokens, all the same, and small parameters
        value = {"bool": True, "float32": 0.02}.get(shape.dtype.name, 1)
        return jnp.full(shape.shape, value, shape.dtype)

    step, params, moments, _, *inputs = _plain_step(config, batch, length)
    params, moments, inputs = jax.tree.map(filled, (params, moments, inputs))
    times = []
    with matmul_precision("float32"):
        for number in range(1 + steps):
            key = jax.random.key(number)
            start = time.perf_counter()
            params, moments, loss = step(params, moments, key, *inputs)
            jax.block_until_ready((params, loss))
            times.append(time.perf_counter() - start)
    return {"step_seconds": statistics.median(times[1:]), "first": times[0]}


def _plain_step(config: ModelConfig, batch: int, length: int) -> tuple[Any, ...]:
    """Returns a jitted step and its arguments' shapes; parameters and moments are donated."""
    (model, params), optimizer = model_and_shapes(config), optax.adamw(1e-3)

    def step(params: Any, moments: Any, key: Any, ids: Any, mask: Any, labels: Any) -> Any:
        rngs = {"dropout": key, "word_dropout": jax.random.fold_in(key, 1)}

        def loss(params: Any) -> jax.Array:
            logits = model.apply({"params": params}, ids, mask, deterministic=False, rngs=rngs)
            return optax.softmax_cross_entropy_with_integer_labels(logits, labels).mean()

        value, grads = jax.value_and_grad(loss)(params)
        updates, moments = optimizer.update(grads, moments, params)
        return optax.apply_updates(params, updates), moments, value

    moments = jax.eval_shape(optimizer.init, params)
    key, labels = jax.eval_shape(jax.random.key, 0), jax.ShapeDtypeStruct((batch,), jnp.int32)
    jitted = jax.jit(step, donate_argnums=(0, 1))
    return jitted, params, moments, key, *_inputs(batch, length), labels


def model_and_shapes(
    config: ModelConfig, vocab_size: int = VOCABULARY, max_length: int = 512
) -> tuple[Any, Any]:
    """Returns a model, and the shapes of its parameters."""
    model = build_model(config, vocab_size=vocab_size, num_classes=CLASSES, max_length=max_length)
    ids = jax.ShapeDtypeStruct((1, 4), jnp.int32)
    return model, jax.eval_shape(model.init, jax.random.key(0), ids)["params"]


def _inputs(batch: int, length: int) -> tuple[Any, Any]:
    shape = (batch, length)
    return jax.ShapeDtypeStruct(shape, jnp.int32), jax.ShapeDtypeStruct(shape, jnp.bool_)


def _cost(jitted: Any, *arguments: Any) -> Values:
    """Returns operations, bytes of arguments, results and temporaries, and of the last alone."""
    with matmul_precision("float32"):
        program = jitted.lower(*arguments).compile()
    memory = program.memory_analysis()
    return {
        "flops": float(program.cost_analysis()["flops"]),
        "bytes": program_bytes(program) or 0,
        "temporary": int(memory.temp_size_in_bytes) if memory else 0,
    }
