"""The Wave Network in JAX, word for word from the paper: complex arrays and autodiff.

Arrays are complex [batch, length, d]; phases by arctan2 of sqrt(1 - (w/G)^2) and w/G (eq. 2), with
the usual small constant under the roots, without which gradients are NaN; AdamW on all parameters.
Same layers, dropout and batches as in wave_jax.
"""

from __future__ import annotations

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import optax

from benchmarks.implementations import program_costs, sinusoids
from benchmarks.setting import Setting, ids_and_mask
from wave_jax.training.compilation import enable_compilation_cache, keep_freed_memory

_SMALL = 1e-8


class LiteralWaves(nn.Module):
    """Embedding -> two linear variants -> waves -> product -> norm -> feed-forward -> norm -> head.

    `paper`: positions are added to the embeddings, and there is no norm before the feed-forward.
    """

    vocab_size: int
    num_classes: int
    dim: int
    dropout: float
    paper: bool = False

    @nn.compact
    def __call__(self, ids: jax.Array, mask: jax.Array, deterministic: bool = True) -> jax.Array:
        kept = mask[..., None]
        x = nn.Embed(self.vocab_size, self.dim)(ids)
        if self.paper:
            x = x + sinusoids(ids.shape[1], self.dim)
        waves = [_wave(jnp.where(kept, nn.Dense(self.dim)(x), 0)) for _ in range(2)]
        drop = nn.Dropout(self.dropout, deterministic=deterministic)
        x = jnp.real(waves[0] * waves[1])
        x = x if self.paper else nn.LayerNorm()(x)
        hidden = drop(nn.gelu(nn.Dense(self.dim)(x), approximate=False))
        x = drop(nn.LayerNorm()(nn.Dense(self.dim)(hidden)))
        return nn.Dense(self.num_classes)(x[:, 0])


def _wave(w: jax.Array) -> jax.Array:
    """Z = G exp(i alpha), eq. 1 and 2; complex64 [b, n, d]."""
    magnitude = jnp.sqrt(jnp.sum(w**2, axis=1, keepdims=True) + _SMALL)
    share = w / magnitude
    alpha = jnp.arctan2(jnp.sqrt(jnp.maximum(1 - share**2, _SMALL)), share)
    return magnitude * jnp.exp(1j * alpha)


class LiteralTraining:
    """Training steps of the literal network."""

    def __init__(self, setting: Setting) -> None:
        enable_compilation_cache()
        keep_freed_memory()
        texts = setting.tokenized
        self._batches = setting.batches()
        sizes = texts.tokenizer.vocab_size, len(texts.label_names), setting.dim
        self._model = LiteralWaves(*sizes, setting.dropout, setting.paper)
        self._optimizer = optax.chain(
            optax.clip_by_global_norm(1.0), optax.adamw(1e-3, weight_decay=0.01)
        )
        self._example = self._inputs(self._batches.batch(setting.example))
        params = jax.jit(self._model.init)(jax.random.key(0), *self._example[:2])["params"]
        self._carried = (params, jax.jit(self._optimizer.init)(params), jnp.zeros((), jnp.int32))
        self._step = jax.jit(self._one_step, donate_argnums=0)
        self._loss: Any = None
        self._programs: dict[Any, Any] = {}
        self.step()

    def costs(self) -> dict[str, float]:
        """Memory and arithmetic of the step on the example batch."""
        return program_costs(self._program(self._example))

    def step(self) -> None:
        """Makes a step on the example batch."""
        self._run(self._example)
        jax.block_until_ready(self._loss)

    def train(self, start: int, count: int) -> None:
        """Makes steps on new batches; XLA works while the next batch is made."""
        for step in range(start, start + count):
            self._run(self._inputs(self._batches.batch(step)))
        jax.block_until_ready(self._loss)

    def warm_up(self) -> None:
        """Compiles for every length that batches are padded to."""
        rows = self._batches.rows
        for length in sorted({length for length, _ in self._batches.shapes.chain}):
            ids = jnp.zeros((rows, length), jnp.int32)
            self._program((ids, ids > 0, self._example[2]))

    def _inputs(self, batch: Any) -> tuple[Any, Any, Any]:
        ids, mask = ids_and_mask(batch)
        return jnp.asarray(ids), jnp.asarray(mask), jnp.asarray(batch.labels)

    def _program(self, inputs: Any) -> Any:
        shape = inputs[0].shape
        if shape not in self._programs:
            with jax.default_matmul_precision("float32"):
                self._programs[shape] = self._step.lower(self._carried, *inputs).compile()
        return self._programs[shape]

    def _run(self, inputs: Any) -> None:
        self._carried, self._loss = self._program(inputs)(self._carried, *inputs)

    def _one_step(self, carried: Any, ids: Any, mask: Any, labels: Any) -> Any:
        params, opt_state, step = carried
        key = jax.random.fold_in(jax.random.key(1), step)

        def loss(params: Any) -> jax.Array:
            logits = self._model.apply({"params": params}, ids, mask, False, rngs={"dropout": key})
            return optax.softmax_cross_entropy_with_integer_labels(logits, labels).mean()

        value, grads = jax.value_and_grad(loss)(params)
        updates, opt_state = self._optimizer.update(grads, opt_state, params)
        return (optax.apply_updates(params, updates), opt_state, step + 1), value
