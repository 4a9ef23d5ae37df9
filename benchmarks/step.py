"""One training step on one batch: wave_jax beside what a user would pick instead."""

from __future__ import annotations

import dataclasses
from typing import Any

import jax
import numpy as np

from benchmarks.report import Report
from benchmarks.setting import USUAL_PADDING, Setting
from benchmarks.workers import Worker, take_turns, workers
from wave_jax.training.compilation import keep_freed_memory

WAVE = "benchmarks.implementations.wave:WaveTraining"
LITERAL = "benchmarks.implementations.literal:LiteralTraining"
TORCH = "benchmarks.implementations.torch_wave:TorchTraining"
_COPIED = 64 << 20  # bytes
_PRODUCTS = "products alone"


def run(setting: Setting, repeats: int) -> Report:
    """Times a step of every implementation, on the batch of median distinct ids."""
    report = Report()
    dense = dataclasses.replace(setting, table_optimizer="dense")
    dropping = dataclasses.replace(setting, word_dropout=0.4)
    low = dataclasses.replace(setting, precision="bfloat16")
    wanted = {
        "ours": (WAVE, setting),
        "ours, dense AdamW": (WAVE, dense),
        "ours, word dropout 0.4": (WAVE, dropping),
        "ours, bfloat16": (WAVE, low),
        "literal complex JAX": (LITERAL, setting),
        f"PyTorch, padded to {USUAL_PADDING}": (TORCH, setting, USUAL_PADDING),
        "PyTorch, our lengths": (TORCH, setting),
    }
    with workers(wanted, report.notes) as running:
        shape = running["ours"].ask("shape")
        limits = {"limits": ("benchmarks.step:MachineLimits", shape[2], setting.dim)}
        with workers(limits, report.notes) as machine:
            calls: dict[str, tuple[Any, ...]] = {n: (w, "step") for n, w in running.items()}
            calls[_PRODUCTS] = (machine["limits"], "multiply")
            calls["copy"] = (machine["limits"], "copy")
            seconds = take_turns(calls, repeats)
        compare(report, running, seconds)
    report.add(_PRODUCTS, 1e3 * seconds[_PRODUCTS], "ms")
    report.add_ratio(f"{_PRODUCTS} / ours", _PRODUCTS, "ours")
    flops = 3 * 2 * shape[2] * setting.dim * 2 * setting.dim
    report.add("machine: products", flops / seconds[_PRODUCTS] / 1e9, "GFLOP/s")
    report.add("machine: copy", 2 * _COPIED / seconds["copy"] / 1e9, "GB/s")
    report.facts["texts, tokens, distinct rows (padded)"] = "{} x {}, {}".format(*shape)
    return report


def compare(report: Report, running: dict[str, Worker], seconds: dict[str, np.ndarray]) -> None:
    """Adds time, memory and arithmetic of each implementation's step, and the ratios to ours.

    Args:
        report: where they are added.
        running: the implementations by name, 'ours' among them.
        seconds: the measured times of their steps.
    """
    costs = {name: worker.ask("costs") for name, worker in running.items()}
    for name, worker in running.items():
        report.add(name, 1e3 * seconds[name], "ms")
        for kind, value in costs[name].items():
            unit, scale = ("GFLOP", 1e9) if kind == "flops" else ("MB", 1e6)
            report.facts[f"{name}: {kind}, {unit}"] = value / scale
        report.facts[f"{name}: peak memory of its process, MB"] = worker.peak_bytes() / 1e6
    for name in [name for name in running if name != "ours"]:
        report.add_ratio(f"{name} / ours", name, "ours")
        for kind in ("flops", "temporaries"):
            if costs[name].get(kind) and costs["ours"].get(kind):
                report.ratios[f"{kind}: ours / {name}"] = costs["ours"][kind] / costs[name][kind]


class MachineLimits:
    """What the machine can do at best.

    Its products are those of the projection, forward and backward, at the step's shapes.
    """

    def __init__(self, rows: int, dim: int) -> None:
        keep_freed_memory()
        keys = jax.random.split(jax.random.key(0), 3)
        shapes = ((rows, dim), (dim, 2 * dim), (rows, 2 * dim))
        self._given = [jax.random.normal(k, s) for k, s in zip(keys, shapes, strict=True)]
        with jax.default_matmul_precision("float32"):
            multiply = jax.jit(lambda x, w, g: (x @ w, g @ w.T, x.T @ g))
            self._multiply = multiply.lower(*self._given).compile()
        self._block = np.zeros(_COPIED, np.uint8)
        self._other = np.zeros_like(self._block)

    def multiply(self) -> None:
        """Computes the three products."""
        jax.block_until_ready(self._multiply(*self._given))

    def copy(self) -> None:
        """Copies `_COPIED` bytes of memory: each is read and written."""
        np.copyto(self._other, self._block)
