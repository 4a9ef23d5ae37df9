"""What differs between operating systems: locks and a process's peak memory."""

from __future__ import annotations

import os
import sys
from functools import partial
from importlib import import_module
from typing import IO, Any


def lock_file(file: IO[Any]) -> bool:
    """Locks an open file, until it is closed or the process ends; False if another one has.

    On a file system without locks nothing is locked: better without than not at all.
    """
    try:
        fcntl: Any = import_module("fcntl")
        take = partial(fcntl.flock, file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except ImportError:  # Windows
        msvcrt: Any = import_module("msvcrt")
        os.lseek(file.fileno(), 1 << 30, os.SEEK_SET)  # beyond: a locked byte bars all readers
        take = partial(msvcrt.locking, file.fileno(), msvcrt.LK_NBLCK, 1)
    try:
        take()
    except (BlockingIOError, PermissionError):
        return False
    except OSError:
        pass
    return True


def process_peak_bytes() -> int | None:
    """Returns the peak memory of this process; None on Windows, which has no `resource`."""
    try:
        resource: Any = import_module("resource")
    except ImportError:
        return None
    peak = int(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
    return peak if sys.platform == "darwin" else peak * 1024  # kilobytes, except on macOS
