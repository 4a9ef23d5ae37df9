"""A tiny network and batches with the methods that training asks for; nothing of the real ones."""

from __future__ import annotations

import types
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh
from rich.console import Console

from wave_jax.runs.checkpoints import Checkpoints
from wave_jax.runs.metrics_log import MetricsLog, trim
from wave_jax.runs.progress import ProgressDisplay
from wave_jax.runs.signals import Interrupt
from wave_jax.training.callbacks import Callback
from wave_jax.training.config import TrainConfig
from wave_jax.training.mesh import make_mesh
from wave_jax.training.task import Task
from wave_jax.training.trainer import Trainer


class Batch(NamedTuple):
    distinct: np.ndarray
    inverse: np.ndarray
    mask: np.ndarray
    labels: np.ndarray
    weights: np.ndarray


class Bag(nn.Module):
    """Mean of projected embeddings -> classifier, with dropout where asked for."""

    rows: int = 128
    dim: int = 16
    classes: int = 3
    dropout: float = 0.0

    def setup(self) -> None:
        self.table = nn.Embed(self.rows, self.dim, name="embed")
        self.ffn_in = nn.Dense(2 * self.dim)
        self.ffn_out = nn.Dense(self.dim)
        self.norm = nn.LayerNorm()
        self.classifier = nn.Dense(self.classes)
        self.drop = nn.Dropout(self.dropout)

    def __call__(self, ids, mask=None, *, deterministic=True):
        mask = jnp.ones(ids.shape, bool) if mask is None else mask
        return self._finish(self.table(ids), mask, deterministic)

    def logits_from_distinct(self, distinct, inverse, mask, *, deterministic=True):
        rows = self.table.embedding.at[distinct].get(mode="clip")
        return self.logits_from_rows(rows, distinct, inverse, mask, deterministic=deterministic)

    def logits_from_rows(self, rows, distinct, inverse, mask, *, deterministic=True):
        del distinct
        return self._finish(rows[inverse], mask, deterministic)

    def _finish(self, emb, mask, deterministic):
        kept = mask[..., None]
        x = jnp.sum(jnp.where(kept, emb, 0.0), 1) / jnp.maximum(jnp.sum(kept, 1), 1)
        x = x + self.ffn_out(nn.gelu(self.ffn_in(x)))
        return self.classifier(self.drop(self.norm(x), deterministic=deterministic))


class Plain(nn.Module):
    """A model with `__call__` only."""

    @nn.compact
    def __call__(self, ids, mask=None, *, deterministic=True):
        emb = nn.Embed(128, 8, name="embed")(ids)
        return nn.Dense(3)(jnp.sum(jnp.where(mask[..., None], emb, 0.0), 1))


class Texts:
    """Random texts of which the first id tells the label; batches in two shapes.

    Serves as TrainBatches (`batch(step)` for any step) and EvalBatches (`order`).
    """

    def __init__(self, count: int, batch_size: int, seed: int = 0, shuffle: bool = True) -> None:
        rng = np.random.default_rng(seed)
        self.labels = rng.integers(0, 3, count).astype(np.int32)
        self.lengths = rng.integers(2, 13, count)
        self.ids = rng.integers(4, 60, (count, 12)).astype(np.int32)
        self.ids[:, 0] = self.labels
        self.batch_size, self._seed, self._shuffle = batch_size, seed, shuffle
        self.order = np.argsort(self.lengths, kind="stable")
        self.shapes = types.SimpleNamespace(chain=((8, 64), (12, 128)))

    def __len__(self) -> int:
        return -(-len(self.labels) // self.batch_size)

    def batch(self, step: int) -> Batch:
        epoch, index = divmod(step, len(self))
        order = self.order
        if self._shuffle:
            order = np.random.default_rng([self._seed, epoch]).permutation(len(self.labels))
        return self.take(order[index * self.batch_size : (index + 1) * self.batch_size])

    def take(self, chosen: np.ndarray) -> Batch:
        lengths, filling = self.lengths[chosen], self.batch_size - len(chosen)
        tokens = 8 if lengths.max() <= 8 else 12
        mask = np.arange(tokens) < lengths[:, None]
        found = np.unique(np.where(mask, self.ids[chosen, :tokens], 0))
        size = 64 if tokens == 8 else 128
        distinct = np.concatenate([found, 128 + np.arange(size - len(found))]).astype(np.int32)
        inverse = np.searchsorted(found, self.ids[chosen, :tokens]) * mask
        return Batch(
            distinct=distinct,
            inverse=np.pad(inverse, ((0, filling), (0, 0))).astype(np.int32),
            mask=np.pad(mask, ((0, filling), (0, 0))),
            labels=np.pad(self.labels[chosen], (0, filling)),
            weights=np.pad(np.ones(len(chosen), np.float32), (0, filling)),
        )


class Walk:
    """An iterator over the batches of all steps, whose position can be saved."""

    def __init__(self, texts: Texts, total: int) -> None:
        self._texts, self._total, self._step = texts, total, 0

    def __iter__(self) -> Walk:
        return self

    def __next__(self) -> Batch:
        if self._step >= self._total:
            raise StopIteration
        self._step += 1
        return self._texts.batch(self._step - 1)

    def get_state(self) -> dict[str, int]:
        return {"step": self._step}

    def set_state(self, state: dict[str, int]) -> None:
        self._step = state["step"]


def max_difference(one: object, other: object) -> float:
    """Largest absolute difference between two trees of arrays."""
    pairs = zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True)
    return max(float(np.abs(np.asarray(a, np.float64) - np.asarray(b)).max()) for a, b in pairs)


def make_task(
    epochs: int = 3, *, model: nn.Module | None = None, mesh: Mesh | None = None, **options: object
) -> Task:
    """A training of 90 texts in batches of 16: 6 steps an epoch, the last of them short."""
    settings = {"learning_rate": 1e-2, "log_every": 4, "warmup_steps": 2, **options}
    config = TrainConfig(epochs=epochs, batch_size=16, eval_batch_size=32, **settings)  # type: ignore[arg-type]
    return Task(
        config=config,
        seed=0,
        model=Bag(dropout=0.2) if model is None else model,
        mesh=make_mesh(1, 1) if mesh is None else mesh,
        batches=Texts(90, 16),
        validation=Texts(50, 32, seed=3, shuffle=False),
    )


@contextmanager
def fitting(
    folder: Path, task: Task, *, hooks: tuple[Callback, ...] = (), make_iterator: object = None
) -> Iterator[Trainer]:
    """A training in `folder`, brought back to its newest checkpoint as `train` does."""
    with ExitStack() as stack:
        interrupt = stack.enter_context(Interrupt())
        checkpoints = stack.enter_context(Checkpoints(folder, task.config.keep))
        console = Console(file=stack.enter_context((folder / "shown.txt").open("a")))
        fit = Trainer(
            task,
            checkpoints,
            make_iterator or (lambda: Walk(task.batches, task.total_steps)),  # type: ignore[arg-type]
            display=stack.enter_context(ProgressDisplay(console, task.total_steps)),
            interrupt=interrupt,
            config={"seed": 0},
            hooks=hooks,
        )
        fit.restore()
        trim(folder, fit.position.step)
        log = MetricsLog(folder)
        stack.callback(log.close)
        fit.writers.append(log)
        yield fit
