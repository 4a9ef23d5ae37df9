"""Programs compiled ahead, one for each padded shape, so that nothing compiles while training."""

from __future__ import annotations

import os
from collections.abc import Callable, Hashable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from typing import Any, Literal, TypeVar

import jax

from wave_jax.data.cache import default_cache_dir
from wave_jax.models.products import BFLOAT16_PRODUCTS

Precision = Literal["float32", "bfloat16"]
Key = TypeVar("Key", bound=Hashable)
Report = Callable[[int, int], None]  # (programs done, programs in all)

# True float32 products, where GPUs and TPUs default to less; or bfloat16 inputs summed in float32
_MATMUL: dict[Precision, str] = {"float32": "float32", "bfloat16": BFLOAT16_PRODUCTS}


@contextmanager
def matmul_precision(precision: Precision) -> Iterator[None]:
    """Sets the precision of the products traced within the block."""
    with jax.default_matmul_precision(_MATMUL[precision]):
        yield


def enable_compilation_cache() -> None:
    """Keeps compiled programs on disk between runs, unless JAX has been told a folder already."""
    if jax.config.jax_compilation_cache_dir is None:  # type: ignore[attr-defined]
        base = default_cache_dir()
        if base is None:
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
        function: what `jax.jit` returned.
        arguments: for each key its arguments, arrays or `jax.ShapeDtypeStruct` with shardings.
        precision: of matrix products.
        report: called with the programs done and in all.
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
