"""Several processes that train one network together: who writes, what all decide, when all stop.

Alone, every function here does the plain thing at once. Among several, process 0 keeps a board of
short notes (JAX's coordination service) through which decisions are told; nothing here waits for
a device, so a training that runs undisturbed pays nothing.
"""

from __future__ import annotations

import ctypes
import itertools
import json
import os
import re
import signal
import socket
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, TypeVar

import jax
from jax._src import distributed  # the board has no public name; Orbax uses it the same way

from wave_jax.errors import PeerLost, UserError

T = TypeVar("T")

STEPS_TO_AGREE = 16  # more than one process can be ahead of another, see `Agreement`

ADVICE = "start all of them again with the same command: they go on from the newest checkpoint"

_WAIT_MS = 1000
_LONG_MS = 24 * 3600 * 1000  # a dead process is noticed by heartbeats long before
_numbers = itertools.count()
_LOST = re.compile(r"gloo|nccl|unavailable|connection|barrier|coordination|deadline", re.IGNORECASE)


def alone() -> bool:
    """Returns whether this is the only process of its training."""
    return jax.process_count() == 1


def is_primary() -> bool:
    """Returns whether this process writes the run's files: process 0 does."""
    return jax.process_index() == 0


def on_primary(action: Callable[[], T]) -> T:
    """Returns on every process what `action` (of a JSON value) gave on process 0.

    Raises:
        UserError: `action` raised it, on process 0; so it does on all.
    """
    if alone():
        return action()
    return _told(f"{next(_numbers)}", action)


def primary_first(action: Callable[[], T]) -> T:
    """Calls `action` on every process, on the others once process 0 is through with it.

    What process 0 writes, such as a tokenizer, the others thus find and read.

    Raises:
        UserError: `action` raised it here, or on process 0.
    """
    if alone():
        return action()
    results: list[T] = []
    _told(f"{next(_numbers)}", lambda: results.append(action()))
    return results[0] if results else action()


def meet() -> None:
    """Returns when all processes have come here."""
    if not alone():
        _board().wait_at_barrier(f"wave_jax/meet/{next(_numbers)}", _LONG_MS)


@contextmanager
def noticing_lost_peers() -> Iterator[None]:
    """Raises PeerLost instead of the error that another process leaves behind by ending."""
    try:
        yield
    except (UserError, PeerLost):
        raise
    except Exception as error:
        reason = " ".join(str(error).split())
        shared = isinstance(error, jax.errors.JaxRuntimeError | TimeoutError)
        if alone() or not (shared or _LOST.search(reason)):
            raise
        raise PeerLost(
            f"process {jax.process_index()} stops, as what it does together with the others "
            f"failed: one of them has probably ended ({reason[:160]}); {ADVICE}"
        ) from error


def leave(status: int, seconds: float = 5.0) -> None:
    """Ends this process, which cannot go on, without waiting for what the others may be stuck in.

    They notice at once that the connection is gone. An error that all share is thus told by all.
    """
    if seconds:
        with suppress(Exception):  # the others are busy, or gone: the reason to leave without them
            _board().wait_at_barrier("wave_jax/leave", int(1000 * seconds))
    os._exit(status)


class Agreement:
    """Lets all processes of a run stop at the same place; a context manager.

    Every process counts its calls of `tick`, one a step or a batch of evaluation. One that wants to
    stop proposes a tick a little ahead on the board, where the first proposal stands, and waits
    until all have seen it. Meanwhile no other can pass that tick: each step needs all processes,
    and a process dispatches fewer than `STEPS_TO_AGREE` steps that are not finished. A thread reads
    the board, so that a step asks nothing of anybody.
    """

    def __init__(self) -> None:
        self._alone = alone()
        self._ticks = 0
        self._stop: tuple[int, int] | None = None
        self._asked = False
        self._closed = threading.Event()
        self._key = "" if self._alone else f"wave_jax/stop/{next(_numbers)}"
        self._thread = threading.Thread(target=self._listen, name="agreement", daemon=True)

    def __enter__(self) -> Agreement:
        if not self._alone:
            self._thread.start()
        return self

    def __exit__(self, *reason: object) -> None:
        self._closed.set()
        if self._thread.is_alive():
            self._thread.join(timeout=2 * _WAIT_MS / 1000)

    def tick(self, wanted: int | None) -> int | None:
        """Counts, and returns the signal for which all stop here, or None.

        Args:
            wanted: the signal for which this process wants to stop, if any.
        """
        if self._alone:
            return wanted
        self._ticks += 1
        if wanted is not None and not self._asked:
            self._asked = True
            self._propose(wanted)
        if self._stop is not None and self._ticks >= self._stop[0]:
            return self._stop[1]
        return None

    def _propose(self, wanted: int) -> None:
        proposal = json.dumps([self._ticks + STEPS_TO_AGREE, wanted])
        try:
            _board().key_value_set(self._key, proposal)
        except jax.errors.JaxRuntimeError as error:
            if "ALREADY_EXISTS" not in str(error):
                raise
            return
        for process in range(jax.process_count()):
            _board().blocking_key_value_get(f"{self._key}/seen/{process}", _LONG_MS)

    def _listen(self) -> None:
        while not self._closed.is_set():
            try:
                found = _board().blocking_key_value_get(self._key, _WAIT_MS)
            except jax.errors.JaxRuntimeError as error:
                if "DEADLINE_EXCEEDED" in str(error):
                    continue
                return  # the board is gone: the next step fails, and says so
            tick, signal = json.loads(found)
            self._stop = tick, signal
            _board().key_value_set(f"{self._key}/seen/{jax.process_index()}", "")
            return


def _board() -> Any:
    return distributed.global_state.client


def _told(key: str, action: Callable[[], Any]) -> Any:
    """Returns what `action` gave on process 0; calls it nowhere else."""
    key = f"wave_jax/told/{key}"
    if not is_primary():
        said = json.loads(_board().blocking_key_value_get(key, _LONG_MS))
        if "error" in said:
            raise UserError(said["error"])
        return said["value"]
    try:
        value = action()
    except UserError as error:
        _board().key_value_set(key, json.dumps({"error": str(error)}))
        raise
    _board().key_value_set(key, json.dumps({"value": value}))
    return value


_STDERR = 2
_EXIT_NOT_TOGETHER, _EXIT_LOST = (
    2,
    1,
)  # exit status: the user can mend a start, but not a lost process

_LOST_LINE = f"this process stops, as another of the run has ended; {ADVICE}"


class _Farewell:
    """What is said, where and with which exit status, when JAX calls abort()."""

    def __init__(self) -> None:
        self.line, self.status, self.file = _LOST_LINE, _EXIT_LOST, _STDERR
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
        _EXIT_NOT_TOGETHER,
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
        _farewell.line, _farewell.status = _LOST_LINE, _EXIT_LOST


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
