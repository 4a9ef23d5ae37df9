"""Batches put on the devices by a thread, ahead of the step that takes them."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator
from typing import Any

_AHEAD = 2  # batches that wait on the devices


class Prefetch:
    """Iterates over (batch on the devices, state of the iterator after it).

    The state travels with its batch, so that what has been fetched ahead does not count as seen
    when a checkpoint is written.

    Args:
        batches: an iterator over host batches with `get_state()`, as `train_iterator` returns.
        place: host batch -> device batch.
    """

    def __init__(self, batches: Any, place: Callable[[Any], Any]) -> None:
        self._batches, self._place = batches, place
        self._queue: queue.Queue[tuple[str, Any]] = queue.Queue(maxsize=_AHEAD)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="prefetch", daemon=True)
        self._thread.start()

    def __iter__(self) -> Iterator[tuple[Any, Any]]:
        return self

    def __next__(self) -> tuple[Any, Any]:
        kind, value = self._queue.get()
        if kind == "batch":
            batch, state = value
            return batch, state
        self._queue.put((kind, value))  # asked again, it ends again
        if kind == "error":
            raise value
        raise StopIteration

    def close(self) -> None:
        """Ends the thread."""
        self._stop.set()
        self._thread.join(timeout=10)

    def _run(self) -> None:
        try:
            for batch in self._batches:
                if not self._offer(("batch", (self._place(batch), self._batches.get_state()))):
                    return
            self._offer(("end", None))
        except BaseException as error:
            self._offer(("error", error))

    def _offer(self, item: tuple[str, Any]) -> bool:
        while not self._stop.is_set():
            try:
                self._queue.put(item, timeout=0.1)
                return True
            except queue.Full:
                continue
        return False
