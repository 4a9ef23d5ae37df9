"""Several processes that train one network together, through JAX's coordination service.

Process 0 writes the run's files and makes decisions, which the others read from the key-value
store. In a run of one process every function here does the plain thing at once.
"""

from __future__ import annotations

import ctypes
import itertools
import json
import os
import re
import signal
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import SimpleNamespace
from typing import Any, TypeVar, cast

import jax
from jax._src import distributed  # the key-value store has no public name; Orbax does the same

from wave_jax.errors import PeerLost, UserError, one_line

T = TypeVar("T")

STEPS_TO_AGREE = 16  # more than one process can be ahead of another, see `StopAgreement`

_ADVICE = "start all of them again with the same command: they resume from the newest checkpoint"
_LOST = f"this process stops, as another of the run has ended; {_ADVICE}"
_LOST_WORDS = re.compile(r"gloo|nccl|unavailable|connection|barrier|coordination|deadline", re.I)
_LONG_MS = 24 * 3600 * 1000  # a dead process is noticed by its heartbeat long before
_calls = itertools.count()  # every process makes the same calls, so the numbers name them


def alone() -> bool:
    """Returns whether this is the only process of its run."""
    return jax.process_count() == 1


def is_primary() -> bool:
    """Returns whether this is process 0, which writes the run's files."""
    return jax.process_index() == 0


def on_primary(action: Callable[[], T]) -> T:
    """Calls `action` on process 0; every process returns its JSON value or raises its UserError."""
    if alone():
        return action()
    key = f"wave_jax/result/{next(_calls)}"
    if is_primary():
        try:
            value = action()
        except UserError as error:
            _store().key_value_set(key, json.dumps({"error": str(error)}))
            raise
        _store().key_value_set(key, json.dumps({"value": value}))
        return value
    found = json.loads(_store().blocking_key_value_get(key, _LONG_MS))
    if "error" in found:
        raise UserError(found["error"])
    return cast(T, found["value"])


def primary_first(action: Callable[[], T]) -> T:
    """Calls `action` on process 0, then on the others, which read the files that it wrote."""
    results: list[T] = []
    on_primary(lambda: results.append(action()))
    return results[0] if results else action()


def meet() -> None:
    """Waits until all processes have called it: a barrier."""
    if not alone():
        _store().wait_at_barrier(f"wave_jax/meet/{next(_calls)}", _LONG_MS)


@contextmanager
def noticing_lost_peers() -> Iterator[None]:
    """Raises PeerLost in place of the error that another process leaves behind by ending."""
    try:
        yield
    except (UserError, PeerLost):
        raise
    except Exception as error:
        shared = isinstance(error, jax.errors.JaxRuntimeError | TimeoutError)
        if alone() or not (shared or _LOST_WORDS.search(str(error))):
            raise
        raise PeerLost(
            f"process {jax.process_index()} stops, as an operation with the other processes "
            f"failed: one of them has probably ended ({one_line(error, 160)}); {_ADVICE}"
        ) from error


def leave(status: int, seconds: float = 5.0) -> None:
    """Ends this process with `status`; the others have `seconds` to end by themselves likewise."""
    if seconds:
        with suppress(Exception):  # the others are busy or gone
            _store().wait_at_barrier("wave_jax/leave", int(1000 * seconds))
    os._exit(status)


class StopAgreement:
    """Makes all processes of a run stop at the same tick, of one step or batch of evaluation.

    A process that wants to stop proposes in the store a tick STEPS_TO_AGREE ahead; the first
    proposal stands. All see it in time, as no process dispatches that many unfinished steps.
    """

    def __init__(self) -> None:
        self._ticks = 0
        self._stop: list[int] | None = None  # tick and signal
        self._key = "" if alone() else f"wave_jax/stop/{next(_calls)}"

    def tick(self, wanted: int | None) -> int | None:
        """Returns the signal for which all processes stop here; `wanted` is this process's."""
        if alone():
            return wanted
        self._ticks += 1
        if self._stop is None and wanted is not None:
            proposal = json.dumps([self._ticks + STEPS_TO_AGREE, wanted])
            with suppress(jax.errors.JaxRuntimeError):  # another proposal stands already
                _store().key_value_set(self._key, proposal)
        if self._stop is None:
            try:
                self._stop = json.loads(_store().key_value_try_get(self._key))
            except jax.errors.JaxRuntimeError as error:
                if "NOT_FOUND" not in str(error):
                    raise
        return self._stop[1] if self._stop and self._ticks >= self._stop[0] else None


def _store() -> Any:
    return distributed.global_state.client


_on_abort = SimpleNamespace(line=_LOST, status=1, file=2)  # at first to stderr


@ctypes.CFUNCTYPE(None, ctypes.c_int)
def _handle_abort(number: int) -> None:
    """Writes one line and ends the process when JAX calls abort().

    JAX notices a missing process in threads of its own, even while all computation hangs: a Python
    signal handler would never run then.
    """
    os.write(_on_abort.file, f"error: {_on_abort.line}\n".encode())
    os._exit(_on_abort.status)


def join(
    coordinator: str | None, processes: int | None, process: int | None, *, wait: int, timeout: int
) -> None:
    """Makes this process one of several; to be called before anything asks for devices.

    `coordinator` is HOST:PORT of process 0; without it, all is found through SLURM, Open MPI or a
    TPU pod. If some processes do not come within `wait` seconds, this one ends with one line and
    exit status 2; one without a heartbeat for `timeout` seconds counts as dead.

    Raises:
        UserError: the processes cannot find each other.
    """
    where = ""
    if coordinator is not None:
        where = f" at {coordinator}"
        if process == 0:
            _check_port(coordinator)
        print(f"Process {process} waits for all {processes}{where}, up to {wait} s", flush=True)
    ctypes.CDLL(None if os.name == "posix" else "ucrtbase").signal(signal.SIGABRT, _handle_abort)
    absent = (
        f"--distributed: not all processes came{where} within {wait} s: start every one of them, "
        "with the same --distributed.coordinator and --distributed.processes and a "
        "--distributed.process of its own, or wait longer with --distributed.wait"
    )
    limits: dict[str, Any] = {"initialization_timeout": wait, "heartbeat_timeout_seconds": timeout}
    try:
        with _aborting_with(absent):
            jax.distributed.initialize(coordinator, processes, process, **limits)
    except (ValueError, RuntimeError) as error:
        raise UserError(
            f"--distributed: the processes did not find each other ({one_line(error, 200)}). Under "
            "SLURM, Open MPI and on a TPU pod they are found automatically; elsewhere give each "
            "--distributed.coordinator HOST:PORT (of process 0), --distributed.processes and "
            "--distributed.process"
        ) from None


def _check_port(coordinator: str) -> None:
    """Raises UserError if process 0 cannot listen there: JAX would crash without a message."""
    port = int(coordinator.rpartition(":")[2])
    try:
        socket.create_server(("", port)).close()
    except (OSError, OverflowError) as error:
        raise UserError(
            f"--distributed.coordinator is {coordinator}, but process 0 cannot listen at port "
            f"{port}: {getattr(error, 'strerror', error)}; give another, free one to all"
        ) from None


@contextmanager
def _aborting_with(line: str) -> Iterator[None]:
    """Makes abort() write `line` alone and end with status 2, and Ctrl-C end the process at once.

    JAX waits in C++, where Python's handler of Ctrl-C would never run, and writes a stack trace to
    stderr before it calls abort().
    """
    previous, stderr = signal.signal(signal.SIGINT, signal.SIG_DFL), os.dup(2)
    usual = vars(_on_abort).copy()
    vars(_on_abort).update(line=line, status=2, file=stderr)
    with open(os.devnull, "w") as nowhere:
        os.dup2(nowhere.fileno(), 2)
    try:
        yield
    finally:
        os.dup2(stderr, 2)
        vars(_on_abort).update(usual)
        os.close(stderr)
        signal.signal(signal.SIGINT, previous)
