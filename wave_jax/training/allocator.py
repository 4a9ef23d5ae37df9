"""Memory that the process has freed, kept for the next step instead of handed back.

A step's temporaries on a CPU are some tens of megabytes. The C library gets blocks of that size
from the system each time, and the system clears every page of them: a fifth of a step.
"""

from __future__ import annotations

import ctypes
import platform

_TRIM_THRESHOLD, _TOP_PAD, _MMAP_THRESHOLD = -1, -2, -3  # of mallopt(3)
_LARGEST = 2**31 - 1


def keep_freed_memory() -> bool:
    """Makes the process reuse its freed memory; returns whether the C library can (glibc does)."""
    if platform.libc_ver()[0] != "glibc":
        return False
    mallopt = ctypes.CDLL(None).mallopt
    wanted = {_MMAP_THRESHOLD: 2**30, _TRIM_THRESHOLD: _LARGEST, _TOP_PAD: 2**26}
    taken = [mallopt(option, value) for option, value in wanted.items()]
    return all(taken)
