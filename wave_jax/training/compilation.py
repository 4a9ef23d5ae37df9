"""Compilation ahead of time, one program for each padded shape, so that no later step compiles."""

from __future__ import annotations

import ctypes
import os
import platform
from collections.abc import Callable, Hashable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from typing import Any, Literal, TypeVar

import jax
import numpy as np
from jax.sharding import Mesh

from wave_jax.data.cache import default_cache_dir
from wave_jax.models.products import BFLOAT16_PRODUCTS
from wave_jax.training.mesh import place
from wave_jax.training.metrics import MetricSums
from wave_jax.training.state import State
from wave_jax.training.task import Task

Precision = Literal["float32", "bfloat16"]
Shape = tuple[int, ...]  # rows, tokens, distinct ids
Key = TypeVar("Key", bound=Hashable)
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


def compile_all(
    function: Any,
    arguments: Mapping[Key, tuple[Any, ...]],
    *,
    precision: Precision,
    report: Report | None = None,
) -> dict[Key, Any]:
    """Returns a compiled program for each key.

    Args:
        function: returned by `jax.jit`.
        arguments: for each key its arguments, arrays or `jax.ShapeDtypeStruct` with shardings.
        precision: of matrix products.
        report: called with the numbers of programs compiled and in all.
    """
    with matmul_precision(precision):
        lowered = {key: function.lower(*given) for key, given in arguments.items()}
    if report is not None and lowered:
        report(0, len(lowered))
    pool = ThreadPoolExecutor(max_workers=max(1, min(4, (os.cpu_count() or 1))))
    try:
        futures = {pool.submit(program.compile): key for key, program in lowered.items()}
        programs = {}
        for done, future in enumerate(as_completed(futures), start=1):
            programs[futures[future]] = future.result()
            if report is not None:
                report(done, len(futures))
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
    return programs


def abstract(tree: Any) -> Any:
    """Returns the shapes, dtypes and shardings of a tree of device arrays."""
    return jax.tree.map(
        lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=leaf.sharding), tree
    )


def abstract_batch(batch: Any, mesh: Mesh) -> Any:
    """Returns the global shapes, dtypes and shardings of `place(batch, mesh)`."""
    return abstract(place(batch, mesh))


def program_bytes(program: Any) -> int | None:
    """Returns the device memory of a compiled program: arguments, results and temporaries."""
    stats = program.memory_analysis()
    if stats is None:
        return None
    return int(
        stats.argument_size_in_bytes
        + stats.output_size_in_bytes
        - stats.alias_size_in_bytes
        + stats.temp_size_in_bytes
    )


def shape_of(batch: Any) -> Shape:
    """Returns the shape of a batch on the devices, the key of its program."""
    return (*batch.inverse.shape, batch.distinct.shape[-1])


def batch_templates(batches: Any) -> dict[Shape, Any]:
    """Returns an empty host batch for every shape that `batches` can have on the devices.

    Args:
        batches: TrainBatches or EvalBatches; `batches.shapes.chain` lists (tokens, distinct ids).
    """
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


def training_programs(
    task: Task, state: State, sums: MetricSums, report: Report | None = None
) -> dict[Shape, Any]:
    """Returns the compiled training step for every shape that a batch can have.

    Args:
        task: what is learned.
        state: on its devices; only its shapes matter.
        sums: likewise.
        report: called with the numbers of programs compiled and in all.
    """
    fixed = (abstract(state), abstract(sums), abstract(task.root_key()))
    arguments = {
        shape: (*fixed, abstract_batch(batch, task.mesh))
        for shape, batch in batch_templates(task.batches).items()
    }
    step = task.jitted_step(state)
    return compile_all(step, arguments, precision=task.config.precision, report=report)


def keep_freed_memory() -> bool:
    """Makes the process reuse its freed memory; returns whether the C library can (glibc does)."""
    if platform.libc_ver()[0] != "glibc":
        return False
    mallopt = ctypes.CDLL(None).mallopt
    trim_threshold, top_pad, mmap_threshold = -1, -2, -3  # of mallopt(3)
    options = {mmap_threshold: 2**30, trim_threshold: 2**31 - 1, top_pad: 2**26}
    return min(mallopt(option, value) for option, value in options.items()) == 1
