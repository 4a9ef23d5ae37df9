"""Several processes that train one network together: who writes, what all decide, when all stop.

Alone, every function here does the plain thing at once. Among several, process 0 keeps a board of
short notes (JAX's coordination service) through which decisions are told; nothing here waits for
a device, so a training that runs undisturbed pays nothing.
"""

from __future__ import annotations

import itertools
import json
import os
import re
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
