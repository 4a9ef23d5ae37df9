"""What differs between operating systems: locks, links, signals to oneself and peak memory."""

from __future__ import annotations

import importlib
import os
import signal
import sys
from pathlib import Path
from typing import IO, Any

_BEYOND = 1 << 30  # a byte behind every file's end: Windows bars other readers from a locked one


def lock_file(file: IO[Any]) -> None:
    """Locks an open file, until this process closes it or ends; BlockingIOError if another has.

    On a file system without locks nothing is locked: better without than not at all.
    """
    try:
        fcntl: Any = importlib.import_module("fcntl")
    except ImportError:  # Windows
        msvcrt: Any = importlib.import_module("msvcrt")
        os.lseek(file.fileno(), _BEYOND, os.SEEK_SET)
        try:
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        except PermissionError as error:
            raise BlockingIOError(*error.args) from None
        except OSError:
            pass
        return
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise
    except OSError:
        pass


def link_new(part: Path, path: Path) -> None:
    """Gives a file a second name; FileExistsError if that is taken.

    On a file system without hard links (FAT, some network drives) the file is renamed instead.
    """
    try:
        os.link(part, path)
    except FileExistsError:
        raise
    except OSError:
        if path.exists():
            raise FileExistsError(path) from None
        part.replace(path)


def signal_self(number: int) -> None:
    """Sends a signal to this process, from any of its threads."""
    if os.name == "nt":  # where os.kill would end the process at once
        signal.raise_signal(number)
    else:
        os.kill(os.getpid(), number)


def process_peak_bytes() -> int | None:
    """Returns the peak memory of this process; None on Windows, which has no `resource`."""
    try:
        resource: Any = importlib.import_module("resource")
    except ImportError:
        return None
    peak = int(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
    return peak if sys.platform == "darwin" else peak * 1024  # kilobytes, except on macOS
