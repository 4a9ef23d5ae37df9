"""A process for each implementation, so that none is helped or slowed by another's threads.

Implementations take turns: while one works the others wait for a message and use no processor.
"""

from __future__ import annotations

import contextlib
import importlib
import multiprocessing
import time
import traceback
from collections.abc import Iterator
from typing import Any

import numpy as np

from wave_jax.errors import UserError
from wave_jax.runs.system import process_peak_bytes


class NotInstalled(UserError):
    """An implementation's package is missing."""


class Worker:
    """An object in a process of its own.

    Args:
        target: 'module:Class' of the object; it is created there, with `arguments`.
    """

    def __init__(self, target: str, *arguments: Any) -> None:
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(theirs, target, arguments))
        self._process.start()
        theirs.close()
        try:
            self._receive()
        except BaseException:
            self.close()
            raise

    def call(self, method: str, *arguments: Any) -> tuple[float, Any]:
        """Returns the seconds that a method took, measured in its process, and its result."""
        self._pipe.send((method, arguments))
        return self._receive()

    def ask(self, method: str, *arguments: Any) -> Any:
        """Returns the result of a method."""
        return self.call(method, *arguments)[1]

    def seconds(self, method: str, *arguments: Any) -> float:
        """Returns the seconds that a method took."""
        return self.call(method, *arguments)[0]

    def peak_bytes(self) -> int:
        """Returns the most memory that the process has held."""
        return int(self.ask("__peak__"))

    def close(self) -> None:
        """Ends the process."""
        self._pipe.close()
        self._process.join(timeout=10)
        if self._process.is_alive():
            self._process.kill()
            self._process.join()

    def _receive(self) -> tuple[float, Any]:
        try:
            kind, *rest = self._pipe.recv()
        except EOFError:
            raise RuntimeError("a benchmark's process ended; perhaps memory ran out") from None
        if kind == "missing":
            raise NotInstalled(rest[0])
        if kind == "error":
            raise RuntimeError(f"a benchmark's process failed:\n{rest[0]}")
        return rest[0], rest[1]


@contextlib.contextmanager
def workers(wanted: dict[str, tuple[Any, ...]], notes: list[str]) -> Iterator[dict[str, Worker]]:
    """Yields running workers by name; one whose package is missing leaves a note.

    Args:
        wanted: name -> (target, arguments...).
        notes: where notes are added.
    """
    with contextlib.ExitStack() as stack:
        running: dict[str, Worker] = {}
        for name, (target, *arguments) in wanted.items():
            try:
                running[name] = Worker(target, *arguments)
                stack.callback(running[name].close)
            except NotInstalled as error:
                notes.append(str(error))
        yield running


def take_turns(calls: dict[str, tuple[Any, ...]], repeats: int) -> dict[str, np.ndarray]:
    """Returns the seconds of every call by name, float64 [repeats].

    Args:
        calls: name -> (worker, method, arguments...).
        repeats: turns of each; one more, to warm up, is not counted.
    """
    seconds: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(repeats + 1):
        for name, (worker, method, *arguments) in calls.items():
            seconds[name].append(worker.seconds(method, *arguments))
    return {name: np.array(values[1:]) for name, values in seconds.items()}


def _serve(pipe: Any, target: str, arguments: tuple[Any, ...]) -> None:
    try:
        module, _, name = target.partition(":")
        try:
            served = getattr(importlib.import_module(module), name)(*arguments)
        except NotInstalled as error:
            pipe.send(("missing", str(error)))
            return
        pipe.send(("done", 0.0, None))
        while True:
            method, given = pipe.recv()
            call = process_peak_bytes if method == "__peak__" else getattr(served, method)
            start = time.perf_counter()
            result = call(*given)
            pipe.send(("done", time.perf_counter() - start, result))
    except (EOFError, KeyboardInterrupt):
        return
    except Exception:
        pipe.send(("error", traceback.format_exc()))
