"""Compilation ahead of time, one program for each padded shape, so that no later step compiles."""

from __future__ import annotations

import ctypes
import os
import platform
from collections.abc import Callable, Container
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import AbstractContextManager
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh

from wave_jax.data.streams import default_cache_dir
from wave_jax.models.wave_layer import BFLOAT16_PRODUCTS
from wave_jax.training.config import Precision
from wave_jax.training.mesh import place
from wave_jax.training.metrics import MetricSums
from wave_jax.training.state import State
from wave_jax.training.task import Task

Shape = tuple[int, ...]  # rows, tokens, distinct ids
Report = Callable[[int, int], None]  # (programs compiled, programs in all)


def matmul_precision(precision: Precision) -> AbstractContextManager[Any]:
    """Sets the precision of the products traced within the block.

    True float32, where GPUs and TPUs default to less, or bfloat16 inputs summed in float32.
    """
    return jax.default_matmul_precision(BFLOAT16_PRODUCTS if precision == "bfloat16" else "float32")


def enable_compilation_cache() -> None:
    """Keeps compiled programs on disk between runs, unless JAX has a folder for them already."""
    base = default_cache_dir()
    if base is None or jax.config.jax_compilation_cache_dir is not None:  # type: ignore[attr-defined]
        return
    folder = base / "compiled"
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:  # no writable home: programs are compiled every time, nothing else changes
        return
    jax.config.update("jax_compilation_cache_dir", str(folder))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.2)


def shape_of(batch: Any) -> Shape:
    """Returns the shape of a batch on the devices, the key of its program."""
    return (*batch.inverse.shape, batch.distinct.shape[-1])


def compile_shapes(
    function: Any,
    fixed: tuple[Any, ...],
    batches: Any,
    mesh: Mesh,
    *,
    precision: Precision,
    known: Container[Shape] = (),
    report: Report = lambda done, total: None,
) -> dict[Shape, Any]:
    """Returns the jitted `function(*fixed, batch)` compiled for every shape `batches` can have.

    Of `fixed`, arguments on their devices, only shapes and shardings matter; the shapes `known` are
    left out. `batches` are TrainBatches or EvalBatches.
    """
    example, lowered = batches.batch(0), {}
    rows = len(example.mask)  # of this process
    for tokens, distinct in batches.shapes.chain:
        shape = (rows * jax.process_count(), tokens, distinct)
        if shape in known:
            continue
        batch = example._replace(
            distinct=np.zeros((distinct,), np.int32),
            inverse=np.zeros((rows, tokens), np.int32),
            mask=np.zeros((rows, tokens), bool),
        )
        with matmul_precision(precision):
            lowered[shape] = function.lower(*abstract(fixed), abstract(place(batch, mesh)))
    report(0, len(lowered))
    pool = ThreadPoolExecutor(max_workers=min(4, os.cpu_count() or 1))
    try:
        futures = {shape: pool.submit(program.compile) for shape, program in lowered.items()}
        for done, _ in enumerate(as_completed(futures.values()), start=1):
            report(done, len(futures))
        return {shape: future.result() for shape, future in futures.items()}
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


def training_programs(
    task: Task, state: State, sums: MetricSums, report: Report = lambda done, total: None
) -> dict[Shape, Any]:
    """Returns the compiled training step for every shape; see `compile_shapes`."""
    step, fixed = task.jitted_step(state), (state, sums, task.root_key())
    precision = task.config.precision
    return compile_shapes(step, fixed, task.batches, task.mesh, precision=precision, report=report)


def abstract(tree: Any) -> Any:
    """Returns the shapes, dtypes and shardings of a tree of device arrays."""
    return jax.tree.map(
        lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=leaf.sharding), tree
    )


def program_bytes(program: Any) -> int | None:
    """Returns the device memory of a compiled program: arguments, results and temporaries."""
    stats = program.memory_analysis()
    if stats is None:
        return None
    results = stats.output_size_in_bytes - stats.alias_size_in_bytes
    return int(stats.argument_size_in_bytes + results + stats.temp_size_in_bytes)


def keep_freed_memory() -> bool:
    """Makes the process reuse its freed memory; returns whether the C library can (glibc does)."""
    if platform.libc_ver()[0] != "glibc":
        return False
    mallopt = ctypes.CDLL(None).mallopt
    options = {-3: 2**30, -1: 2**31 - 1, -2: 2**26}  # M_MMAP_THRESHOLD, M_TRIM_THRESHOLD, M_TOP_PAD
    return min(mallopt(option, value) for option, value in options.items()) == 1
