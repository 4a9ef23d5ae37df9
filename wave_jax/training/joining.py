"""How a process becomes one of several, and what it says where JAX would end it with a trace."""

from __future__ import annotations

import ctypes
import os
import signal
import socket
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import jax

from wave_jax.errors import UserError
from wave_jax.training.processes import ADVICE

_STDERR = 2
_NOT_TOGETHER, _LOST = 2, 1  # exit status: the user can mend a start, but not a lost process

_LOST_LINE = f"this process stops, as another of the run has ended; {ADVICE}"


class _Farewell:
    """What is said, where and with which exit status, when JAX calls abort()."""

    def __init__(self) -> None:
        self.line, self.status, self.file = _LOST_LINE, _LOST, _STDERR
        self._handler: Any = None  # kept: ctypes lets go of a function that nothing refers to

    def install(self) -> None:
        """Takes SIGABRT over.

        JAX notices a missing process in threads of its own, also while all computation hangs, and
        calls abort(): a handler in Python would never run, so this one is called by the signal.
        """

        def handle(number: int) -> None:
            os.write(self.file, f"error: {self.line}\n".encode())
            os._exit(self.status)

        self._handler = ctypes.CFUNCTYPE(None, ctypes.c_int)(handle)
        ctypes.CDLL(None).signal(signal.SIGABRT, self._handler)


_farewell = _Farewell()


def join(
    coordinator: str | None = None,
    processes: int | None = None,
    process: int | None = None,
    *,
    wait: int = 60,
    timeout: int = 30,
) -> None:
    """Makes this process one of several; to be called before anything asks for devices.

    Where not all come, the process ends here with one line and exit status 2.

    Args:
        coordinator: HOST:PORT of process 0; by default found through SLURM, Open MPI or a TPU pod.
        processes: how many there are; found likewise.
        process: the number of this one, from 0; found likewise.
        wait: seconds within which all must come.
        timeout: seconds of silence after which a process counts as dead.

    Raises:
        UserError: the others cannot be looked for as asked.
    """
    where = ""
    if coordinator is not None:
        where = f" at {coordinator}"
        if process == 0:
            _check_port(coordinator)
        print(f"Process {process} waits for all {processes}{where}, up to {wait} s", flush=True)
    _farewell.install()
    _farewell.line, _farewell.status = (
        f"--distributed: not all processes came{where} within {wait} s: start every one of them, "
        "with the same --distributed.coordinator and --distributed.processes and a "
        "--distributed.process of its own, or wait longer with --distributed.wait",
        _NOT_TOGETHER,
    )
    try:
        with _holding_stderr_back(), _ended_by_ctrl_c():
            jax.distributed.initialize(
                coordinator,
                processes,
                process,
                initialization_timeout=wait,
                heartbeat_timeout_seconds=timeout,
            )
    except (ValueError, RuntimeError) as error:
        reason = " ".join(str(error).split())[:200]
        raise UserError(
            f"--distributed: the processes did not find together ({reason}). Under SLURM, Open MPI "
            "and on a TPU pod they are found by themselves; elsewhere give each "
            "--distributed.coordinator HOST:PORT (of process 0), --distributed.processes and "
            "--distributed.process"
        ) from None
    finally:
        _farewell.line, _farewell.status = _LOST_LINE, _LOST


def _check_port(coordinator: str) -> None:
    """Raises UserError where process 0 cannot listen; JAX would crash without a word."""
    port = int(coordinator.rpartition(":")[2])
    both = socket.has_dualstack_ipv6()
    family = socket.AF_INET6 if both else socket.AF_INET
    try:
        socket.create_server(("", port), family=family, dualstack_ipv6=both).close()
    except (OSError, OverflowError) as error:
        number = getattr(error, "errno", None)
        reason = os.strerror(number) if number else str(error)
        raise UserError(
            f"--distributed.coordinator is {coordinator}, but process 0 cannot listen at port "
            f"{port} ({reason}): give another, free one to all"
        ) from None


@contextmanager
def _holding_stderr_back() -> Iterator[None]:
    """Shows what is written to stderr afterwards, and only if all went well.

    JAX's libraries write a stack trace there before they call abort(); `_farewell` says it in one
    line, an error in Python likewise.
    """
    sys.stderr.flush()
    try:
        shown = os.dup(_STDERR)
    except OSError:  # closed by whoever started this process
        yield
        return
    with tempfile.TemporaryFile() as held:
        os.dup2(held.fileno(), _STDERR)
        _farewell.file = shown
        try:
            yield
        finally:
            sys.stderr.flush()
            os.dup2(shown, _STDERR)
            _farewell.file = _STDERR
            os.close(shown)
        held.seek(0)
        with suppress(OSError):
            os.write(_STDERR, held.read())


@contextmanager
def _ended_by_ctrl_c() -> Iterator[None]:
    """Lets Ctrl-C end the process at once: JAX waits in C++, where Python's handler never runs."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    previous = signal.signal(signal.SIGINT, signal.SIG_DFL)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, previous)
