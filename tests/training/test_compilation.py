"""Freed memory is kept: a large block that is taken again costs no fresh pages."""

import platform
import resource

import pytest

from wave_jax.training.compilation import keep_freed_memory


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="needs glibc")
def test_large_blocks_are_reused():
    assert keep_freed_memory()

    def fresh_pages():
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
        block = bytearray(64 << 20)
        del block
        return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

    fresh_pages()
    pages = (64 << 20) // resource.getpagesize()
    assert fresh_pages() < pages / 10
