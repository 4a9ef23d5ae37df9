"""Compilation ahead of time, one program for each padded shape, so that no later step compiles."""

from __future__ import annotations

import ctypes
import os
import platform
from collections.abc import Callable, Container, Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from typing import Any, Literal

import jax
import numpy as np
from jax.sharding import Mesh

from wave_jax.data.streams import default_cache_dir
from wave_jax.models.products import BFLOAT16_PRODUCTS
from wave_jax.training.mesh import place
from wave_jax.training.metrics import MetricSums
from wave_jax.training.state import State
from wave_jax.training.task import Task

Precision = Literal["float32", "bfloat16"]
Shape = tuple[int, ...]  # rows, tokens, distinct ids
Report = Callable[[int, int], None]  # (programs compiled, programs in all)

# True float32 products, where GPUs and TPUs default to less; or bfloat16 inputs summed in float32
_MATMUL: dict[Precision, str] = {"float32": "float32", "bfloat16": BFLOAT16_PRODUCTS}


@contextmanager
def matmul_precision(precision: Precision) -> Iterator[None]:
    """Sets the precision of the products traced within the block."""
    with jax.default_matmul_precision(_MATMUL[precision]):
        yield


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
    report: Report | None = None,
) -> dict[Shape, Any]:
    """Returns the jitted `function(*fixed, batch)` compiled for every shape `batches` can have.

    Args:
        fixed: arguments on their devices, of which only shapes and shardings matter.
        batches: TrainBatches or EvalBatches; `batches.shapes.chain` lists (tokens, distinct ids).
        known: shapes to leave out.
    """
    templates = {shape: place(batch, mesh) for shape, batch in _templates(batches).items()}
    with matmul_precision(precision):
        lowered = {
            shape: function.lower(*abstract(fixed), abstract(batch))
            for shape, batch in templates.items()
            if shape not in known
        }
    if report is not None and lowered:
        report(0, len(lowered))
    pool = ThreadPoolExecutor(max_workers=min(4, os.cpu_count() or 1))
    try:
        futures = {pool.submit(program.compile): shape for shape, program in lowered.items()}
        programs = {}
        for done, future in enumerate(as_completed(futures), start=1):
            programs[futures[future]] = future.result()
            if report is not None:
                report(done, len(futures))
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
    return programs


def training_programs(
    task: Task, state: State, sums: MetricSums, report: Report | None = None
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


def _templates(batches: Any) -> dict[Shape, Any]:
    """Returns an empty host batch for every shape that `batches` can have on the devices."""
    if not len(batches):
        return {}
    example = batches.batch(0)
    rows = example.inverse.shape[0]
    return {
        (rows * jax.process_count(), tokens, distinct): example._replace(
            distinct=np.zeros((distinct,), np.int32),
            inverse=np.zeros((rows, tokens), np.int32),
            mask=np.zeros((rows, tokens), bool),
        )
        for tokens, distinct in batches.shapes.chain
    }


def keep_freed_memory() -> bool:
    """Makes the process reuse its freed memory; returns whether the C library can (glibc does)."""
    if platform.libc_ver()[0] != "glibc":
        return False
    mallopt = ctypes.CDLL(None).mallopt
    trim_threshold, top_pad, mmap_threshold = -1, -2, -3  # of mallopt(3)
    options = {mmap_threshold: 2**30, trim_threshold: 2**31 - 1, top_pad: 2**26}
    return min(mallopt(option, value) for option, value in options.items()) == 1
