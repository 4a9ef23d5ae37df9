"""wave_jax, as `train.py` runs it."""

from __future__ import annotations

from typing import Any

import jax
import numpy as np
from wave_jax.data.loader import train_iterator

from benchmarks.contestants.programs import program_facts
from benchmarks.data import Setting, Texts
from wave_jax.data.batches import EvalBatches
from wave_jax.models import ModelConfig, build_model, table_rows
from wave_jax.training.compilation import (
    abstract,
    abstract_batch,
    batch_templates,
    compile_all,
    enable_compilation_cache,
    keep_freed_memory,
    shape_of,
)
from wave_jax.training.config import TrainConfig
from wave_jax.training.mesh import make_mesh, place
from wave_jax.training.metrics import empty_metrics
from wave_jax.training.prefetch import Prefetch
from wave_jax.training.task import Task


class Trainer:
    """Training steps of a model of wave_jax on batches as a training has them.

    Args:
        setting: sizes and data.
        changes: fields of ModelConfig other than the setting's.
        batches: instead of the setting's.
        texts: instead of the setting's.
    """

    def __init__(
        self,
        setting: Setting,
        changes: dict[str, Any] | None = None,
        batches: Any = None,
        texts: Texts | None = None,
    ) -> None:
        texts = setting.texts if texts is None else texts
        enable_compilation_cache()
        keep_freed_memory()
        given = {"dim": setting.dim, "dropout": setting.dropout, "word_dropout": 0.0}
        self.batches = setting.batches(setting.word_dropout) if batches is None else batches
        self.mesh = make_mesh(1, 1)
        self._precision = setting.precision
        self._example = setting.example if batches is None else 0
        self.task = Task(
            config=TrainConfig(epochs=1000, table_optimizer=setting.table_optimizer),  # type: ignore[arg-type]
            seed=0,
            model=build_model(
                ModelConfig(**given | (changes or {})),
                vocab_size=texts.vocab_size,
                num_classes=texts.num_classes,
                max_length=setting.data.max_length,
            ),
            mesh=self.mesh,
            batches=self.batches,
            validation=EvalBatches(
                texts.held_tokens,
                None,
                batch_size=setting.batch_size,
                table_rows=table_rows(texts.vocab_size),
            ),
        )
        self._state, self._root = self.task.new_state(), self.task.root_key()
        self._sums = jax.device_put(empty_metrics())
        self._programs: dict[Any, Any] = {}
        self._placed: list[Any] = []
        self._host = self.batches.batch(self._example)
        self._batch = place(self._host, self.mesh)
        self._compile({shape_of(self._host): self._host})

    def facts(self) -> dict[str, float]:
        """Memory and arithmetic of the step on the example's batch."""
        return program_facts(self._programs[shape_of(self._host)])

    def shape(self) -> tuple[int, ...]:
        """Rows, tokens and distinct rows of the example's batch, padding included."""
        return shape_of(self._host)

    def hlo(self) -> str:
        """The compiled step's text."""
        return str(self._programs[shape_of(self._host)].as_text())

    def step(self, count: int = 1) -> None:
        """Makes steps on the example's batch."""
        for _ in range(count):
            self._run(self._batch)
        jax.block_until_ready(self._sums)

    def warm(self) -> None:
        """Compiles every shape, as a training does before it begins."""
        self._compile(batch_templates(self.batches))

    def load(self, start: int, count: int) -> None:
        """Puts the batches of some steps on the device."""
        self._placed = [
            place(self.batches.batch(start + index), self.mesh) for index in range(count)
        ]
        jax.block_until_ready(self._placed)

    def device_steps(self) -> None:
        """Makes the steps whose batches were loaded before."""
        for batch in self._placed:
            self._run(batch)
        jax.block_until_ready(self._sums)

    def epoch(self, start: int, count: int) -> None:
        """Makes steps as the training loop does: batches are made meanwhile."""
        iterator = train_iterator(self.batches, start, start + count)
        prefetch = Prefetch(iterator, lambda batch: place(batch, self.mesh))
        try:
            for batch, _ in prefetch:
                self._run(batch)
            jax.block_until_ready(self._sums)
        finally:
            prefetch.close()

    def _run(self, batch: Any) -> None:
        program = self._programs[shape_of(batch)]
        self._state, self._sums = program(self._state, self._sums, self._root, batch)

    def _compile(self, hosts: dict[Any, Any]) -> None:
        step = self.task.jitted_step(self._state)
        fixed = (abstract(self._state), abstract(self._sums), abstract(self._root))
        missing = {
            shape: (*fixed, abstract_batch(batch, self.mesh))
            for shape, batch in hosts.items()
            if shape not in self._programs
        }
        self._programs |= compile_all(step, missing, precision=self._precision)  # type: ignore[arg-type]


class Products:
    """The products of the projection alone, forward and backward, at the step's shapes."""

    def __init__(self, rows: int, dim: int) -> None:
        keep_freed_memory()
        keys = jax.random.split(jax.random.key(0), 3)
        shapes = ((rows, dim), (dim, 2 * dim), (rows, 2 * dim))
        self._given = [jax.random.normal(k, s) for k, s in zip(keys, shapes, strict=True)]
        with jax.default_matmul_precision("float32"):
            multiply = jax.jit(lambda x, w, g: (x @ w, g @ w.T, x.T @ g))
            self._multiply = multiply.lower(*self._given).compile()
        self._flops = 3 * 2 * rows * dim * 2 * dim
        self._block = np.zeros(64 << 20, np.uint8)
        self._other = np.zeros_like(self._block)

    def multiply(self) -> None:
        """Makes the three products."""
        jax.block_until_ready(self._multiply(*self._given))

    def flops(self) -> float:
        """Operations of `multiply`."""
        return float(self._flops)

    def copy(self) -> None:
        """Copies 64 MiB of memory: 128 MiB read or written."""
        np.copyto(self._other, self._block)

    def copied_bytes(self) -> float:
        """Bytes read or written by `copy`."""
        return float(2 * self._block.nbytes)
