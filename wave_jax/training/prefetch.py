"""Work on the next items done by a thread while the caller is busy with the last one."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


def prefetch(
    items: Iterable[Item], work: Callable[[Item], Result], depth: int = 2
) -> Iterator[Result]:
    """Yields work(item) for each item in order; a thread iterates and works ahead.

    At most `depth` results wait. An exception of either is raised where its result would have
    come, after all results before it. Closing the generator ends the thread.

    >>> list(prefetch([1, 2, 3], lambda x: x * x))
    [1, 4, 9]
    """
    results: queue.Queue[tuple[str, Any]] = queue.Queue(maxsize=depth)
    stop = threading.Event()

    def offer(kind: str, value: Any) -> bool:
        while not stop.is_set():
            try:
                results.put((kind, value), timeout=0.1)
                return True
            except queue.Full:
                continue
        return False

    def run() -> None:
        try:
            for item in items:
                if not offer("result", work(item)):
                    return
            offer("end", None)
        except BaseException as error:
            offer("error", error)

    # a daemon: it may be waiting for a line of a terminal when the process is to end
    thread = threading.Thread(target=run, name="prefetch", daemon=True)
    thread.start()
    try:
        while True:
            kind, value = results.get()
            if kind == "error":
                raise value
            if kind == "end":
                return
            yield value
    finally:
        stop.set()
        thread.join(timeout=1)
