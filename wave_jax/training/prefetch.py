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
    results: queue.SimpleQueue[tuple[Any, BaseException | None]] = queue.SimpleQueue()
    free, stop = threading.Semaphore(depth), threading.Event()

    def run() -> None:
        try:
            for item in items:
                result = work(item)
                free.acquire()
                if stop.is_set():
                    return
                results.put((result, None))
            results.put((None, StopIteration()))
        except BaseException as error:
            results.put((None, error))

    # a daemon: it may be waiting for a line of a terminal when the process is to end
    thread = threading.Thread(target=run, name="prefetch", daemon=True)
    thread.start()
    try:
        while True:
            result, error = results.get()
            if isinstance(error, StopIteration):
                return
            if error is not None:
                raise error
            free.release()
            yield result
    finally:
        stop.set()
        free.release()
        thread.join(timeout=1)
