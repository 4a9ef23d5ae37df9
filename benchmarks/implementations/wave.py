"""wave_jax, as `train.py` runs it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import jax

from benchmarks.implementations import program_costs
from benchmarks.setting import Setting
from wave_jax.data.batches import TrainBatches
from wave_jax.models import ModelConfig, build_model
from wave_jax.training.compilation import (
    enable_compilation_cache,
    keep_freed_memory,
    matmul_precision,
    shape_of,
    training_programs,
)
from wave_jax.training.config import TrainConfig
from wave_jax.training.mesh import make_mesh, place, put, replicated
from wave_jax.training.metrics import empty_metrics
from wave_jax.training.prefetch import prefetch
from wave_jax.training.task import Task

_PREFETCH = 4  # as in the training loop


class WaveTraining:
    """Training steps of a model of wave_jax.

    Args:
        setting: sizes and data.
        changes: fields of ModelConfig that differ from the setting's.
        batches: other batches than the setting's, whose first one is the example.
    """

    def __init__(
        self,
        setting: Setting,
        changes: Mapping[str, Any] | None = None,
        batches: TrainBatches | None = None,
    ) -> None:
        enable_compilation_cache()
        keep_freed_memory()
        self._task = make_task(setting, changes, batches)
        self._state, self._root = self._task.new_state(), self._task.root_key()
        self._sums = put(empty_metrics(), replicated(self._task.mesh))
        self._example = self._place(setting.example if batches is None else 0)
        with matmul_precision(self._task.config.precision):
            step = self._task.jitted_step(self._state)
            arguments = (self._state, self._sums, self._root, self._example)
            self._programs = {shape_of(self._example): step.lower(*arguments).compile()}
        self._loaded: list[Any] = []

    def costs(self) -> dict[str, float]:
        """Memory and arithmetic of the step on the example batch."""
        return program_costs(self._programs[shape_of(self._example)])

    def shape(self) -> tuple[int, ...]:
        """Rows, tokens and distinct rows of the example batch, padding included."""
        return shape_of(self._example)

    def hlo(self) -> str:
        """The compiled step as text."""
        return str(self._programs[shape_of(self._example)].as_text())

    def step(self, count: int = 1) -> None:
        """Makes steps on the example batch."""
        self._run([self._example] * count)

    def warm_up(self) -> None:
        """Compiles for every shape, as a training does before it begins."""
        self._programs |= training_programs(self._task, self._state, self._sums)

    def load(self, start: int, count: int) -> None:
        """Puts the batches of some steps on the device."""
        self._loaded = [self._place(step) for step in range(start, start + count)]
        jax.block_until_ready(self._loaded)

    def device_steps(self) -> None:
        """Makes the steps whose batches were loaded before."""
        self._run(self._loaded)

    def train(self, start: int, count: int) -> None:
        """Makes steps as the training loop does: a thread makes the batches meanwhile."""
        self._run(prefetch(range(start, start + count), self._place, _PREFETCH))

    def _place(self, step: int) -> Any:
        return place(self._task.batches.batch(step), self._task.mesh)

    def _run(self, batches: Any) -> None:
        for batch in batches:
            program = self._programs[shape_of(batch)]
            self._state, self._sums = program(self._state, self._sums, self._root, batch)
        jax.block_until_ready((self._state, self._sums))


def make_task(
    setting: Setting,
    changes: Mapping[str, Any] | None = None,
    batches: TrainBatches | None = None,
    validation: Any = None,
) -> Task:
    """Returns the training of a model on one device; its batches may drop words, not the model."""
    fields: dict[str, Any] = {"dim": setting.dim, "dropout": setting.dropout, "word_dropout": 0.0}
    if (changes or {}).get("kind", "wave") == "wave":
        fields |= setting.waves()
    texts = setting.tokenized
    return Task(
        config=TrainConfig(
            epochs=1000,
            precision=setting.precision,  # type: ignore[arg-type]
            table_optimizer=setting.table_optimizer,  # type: ignore[arg-type]
        ),
        seed=0,
        model=build_model(
            ModelConfig(**fields | dict(changes or {})),
            vocab_size=texts.tokenizer.vocab_size,
            num_classes=len(texts.label_names),
            max_length=setting.data.max_length,
        ),
        mesh=make_mesh(1, 1),
        batches=setting.batches() if batches is None else batches,
        validation=validation,
    )
