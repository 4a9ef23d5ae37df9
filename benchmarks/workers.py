"""A process for each contestant, so that none lives off, or suffers from, another's threads.

Contestants take turns: while one works the others wait for a message and use nothing.
"""

from __future__ import annotations

import importlib
import multiprocessing
import resource
import time
import traceback
from typing import Any

import numpy as np

from wave_jax.errors import UserError


class NotInstalled(UserError):
    """A contestant's package is missing."""


class Worker:
    """A contestant in a process of its own.

    Args:
        target: 'module:Class' of the contestant; it is made there, with `arguments`.
    """

    def __init__(self, target: str, *arguments: Any) -> None:
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(theirs, target, arguments))
        self._process.start()
        theirs.close()
        try:
            self.ready_seconds, _ = self._receive()
        except BaseException:
            self.close()
            raise

    def call(self, method: str, *arguments: Any) -> tuple[float, Any]:
        """Returns the seconds that a method took, measured over there, and its result."""
        self._pipe.send((method, arguments))
        return self._receive()

    def ask(self, method: str, *arguments: Any) -> Any:
        """Returns the result of a method."""
        return self.call(method, *arguments)[1]

    def peak_bytes(self) -> int:
        """Returns the most memory that the process has had."""
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
            raise RuntimeError("a contestant's process ended; perhaps memory ran out") from None
        if kind == "missing":
            raise NotInstalled(rest[0])
        if kind == "error":
            raise RuntimeError(f"a contestant failed:\n{rest[0]}")
        return rest[0], rest[1]


def take_turns(
    contestants: dict[str, tuple[Worker, str, tuple[Any, ...]]], repeats: int
) -> dict[str, np.ndarray]:
    """Returns for each contestant the seconds of every turn, float64 [repeats].

    Args:
        contestants: name -> (worker, method, arguments); one warming turn is not counted.
    """
    seconds: dict[str, list[float]] = {name: [] for name in contestants}
    for _ in range(repeats + 1):
        for name, (worker, method, arguments) in contestants.items():
            seconds[name].append(worker.call(method, *arguments)[0])
    return {name: np.array(values[1:]) for name, values in seconds.items()}


def _serve(pipe: Any, target: str, arguments: tuple[Any, ...]) -> None:
    try:
        start = time.perf_counter()
        try:
            contestant = _make(target, arguments)
        except NotInstalled as error:
            pipe.send(("missing", str(error)))
            return
        pipe.send(("done", time.perf_counter() - start, None))
        while True:
            method, given = pipe.recv()
            if method == "__peak__":
                peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
                pipe.send(("done", 0.0, peak))
                continue
            call = getattr(contestant, method)
            start = time.perf_counter()
            result = call(*given)
            pipe.send(("done", time.perf_counter() - start, result))
    except (EOFError, KeyboardInterrupt):
        return
    except Exception:
        pipe.send(("error", traceback.format_exc()))


def _make(target: str, arguments: tuple[Any, ...]) -> Any:
    module, _, name = target.partition(":")
    return getattr(importlib.import_module(module), name)(*arguments)
