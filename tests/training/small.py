"""Small trainings for the tests: real models, and batches of random texts in two shapes."""

from __future__ import annotations

import types
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh
from rich.console import Console

from wave_jax.data.batches import Batch
from wave_jax.models import ModelConfig, build_model
from wave_jax.runs.checkpoints import Checkpoints
from wave_jax.runs.metrics_log import MetricsLog, trim
from wave_jax.runs.progress import ProgressDisplay
from wave_jax.runs.signals import Interrupt
from wave_jax.training.callbacks import Callback
from wave_jax.training.config import TrainConfig
from wave_jax.training.mesh import make_mesh
from wave_jax.training.task import Task
from wave_jax.training.trainer import Trainer

ROWS = 128  # of the embedding table


def small_model(*, vocab_size: int = 100, num_classes: int = 3, **changes: Any) -> Any:
    """A network of 16 dimensions and one layer, by default a Wave Network without dropout."""
    sizes = {"dim": 16, "ffn_dim": 32, "dropout": 0.0, "word_dropout": 0.0} | changes
    return build_model(
        ModelConfig(**sizes), vocab_size=vocab_size, num_classes=num_classes, max_length=12
    )


class Texts:
    """Random texts whose first id is the label; serves as TrainBatches and as EvalBatches.

    Args:
        before: called when the batch of a step is made, on the thread that makes it.
    """

    def __init__(
        self,
        count: int,
        batch_size: int,
        *,
        seed: int = 0,
        shuffle: bool = True,
        before: Mapping[int, Callable[[], None]] | None = None,
    ) -> None:
        rng = np.random.default_rng(seed)
        self.labels = rng.integers(0, 3, count).astype(np.int32)
        self.lengths = rng.integers(2, 13, count)
        self.ids = rng.integers(4, 60, (count, 12)).astype(np.int32)
        self.ids[:, 0] = self.labels
        self.batch_size, self._seed, self._shuffle = batch_size, seed, shuffle
        self.before = dict(before or {})
        self.word_dropout = 0.0
        self.order = np.argsort(self.lengths, kind="stable")
        self.shapes = types.SimpleNamespace(chain=((8, 64), (12, 128)))

    def __len__(self) -> int:
        return -(-len(self.labels) // self.batch_size)

    def batch(self, step: int) -> Batch:
        self.before.get(step, lambda: None)()
        return self.take(self.examples(step))

    def examples(self, step: int) -> np.ndarray:
        epoch, index = divmod(step, len(self))
        order = self.order
        if self._shuffle:
            order = np.random.default_rng([self._seed, epoch]).permutation(len(self.labels))
        return order[index * self.batch_size : (index + 1) * self.batch_size]

    def take(self, chosen: np.ndarray) -> Batch:
        lengths, padding = self.lengths[chosen], self.batch_size - len(chosen)
        tokens, size = (8, 64) if lengths.max() <= 8 else (12, 128)
        mask = np.arange(tokens) < lengths[:, None]
        found = np.unique(np.where(mask, self.ids[chosen, :tokens], 0))
        distinct = np.concatenate([found, ROWS + np.arange(size - len(found))]).astype(np.int32)
        inverse = np.searchsorted(found, self.ids[chosen, :tokens]) * mask
        mask = np.pad(mask, ((0, padding), (0, 0)))
        mask[len(chosen) :, 0] = True
        return Batch(
            distinct=distinct,
            inverse=np.pad(inverse, ((0, padding), (0, 0))).astype(np.int32),
            mask=mask,
            labels=np.pad(self.labels[chosen], (0, padding)),
            weights=np.pad(np.ones(len(chosen), np.float32), (0, padding)),
        )


def make_task(
    epochs: int = 3,
    *,
    model: Any = None,
    mesh: Mesh | None = None,
    before: Mapping[int, Callable[[], None]] | None = None,
    **options: Any,
) -> Task:
    """A training of 90 texts in batches of 16: 6 steps an epoch, the last of them short."""
    settings = {"learning_rate": 1e-2, "log_every": 4, "warmup_steps": 2} | options
    return Task(
        config=TrainConfig(epochs=epochs, batch_size=16, eval_batch_size=32, **settings),
        seed=0,
        model=small_model(dropout=0.2) if model is None else model,
        mesh=make_mesh(1, 1) if mesh is None else mesh,
        batches=Texts(90, 16, before=before),
        validation=Texts(50, 32, seed=3, shuffle=False),
    )


@contextmanager
def trainer_in(folder: Path, task: Task, *, callbacks: tuple[Callback, ...] = ()) -> Iterator[Any]:
    """A Trainer on `folder`, restored from its newest checkpoint as `runs.job.train` does."""
    folder.mkdir(exist_ok=True)
    with ExitStack() as stack:
        interrupt = stack.enter_context(Interrupt())
        checkpoints = stack.enter_context(Checkpoints(folder, task.config.keep))
        console = Console(file=stack.enter_context((folder / "shown.txt").open("a")))
        trainer = Trainer(
            task,
            checkpoints,
            display=stack.enter_context(ProgressDisplay(console, task.total_steps)),
            interrupt=interrupt,
            config={"seed": 0},
            callbacks=callbacks,
        )
        trainer.restore()
        trim(folder, trainer.progress.step)
        log = MetricsLog(folder)
        stack.callback(log.close)
        trainer.writers.append(log)
        yield trainer


def run(folder: Path, task: Task, **options: Any) -> Trainer:
    """Trains in `folder` to the end, from its newest checkpoint if there is one."""
    with trainer_in(folder, task, **options) as trainer:
        trainer.run()
        return trainer


def max_difference(one: Any, other: Any) -> float:
    """Largest absolute difference between two trees of arrays."""
    pairs = zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True)
    return max(float(np.abs(np.asarray(a, np.float64) - np.asarray(b)).max()) for a, b in pairs)
