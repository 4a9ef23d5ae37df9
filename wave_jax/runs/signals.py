"""Ctrl-C and SIGTERM: noted at once, acted on where the state is whole."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

from wave_jax.errors import Interrupted
from wave_jax.training.distributed import StopAgreement, alone

# In JAX's callback of the garbage collector Python prints an exception and continues, so a signal
# that arrives there is sent again a moment later.
_SWALLOWING = "_xla_gc_callback"
_SHOW_CURSOR = b"\x1b[?25h"  # which a progress bar hides


class Interrupt:
    """Handles SIGINT and SIGTERM while in use, if entered from the main thread.

    Outside `deferred()` the first signal raises Interrupted on the spot. Inside, `poll` raises it,
    in all processes at the same call. After it a Ctrl-C says that the state is being saved, and
    another one ends the process at once, with status 130; SIGTERM changes nothing any more.
    """

    def __init__(self) -> None:
        self.received: int | None = None
        self._warned = False  # that a further Ctrl-C ends the process
        self._agreement: StopAgreement | None = None  # while signals are deferred
        self._previous: dict[int, Any] = {}

    def __enter__(self) -> Interrupt:
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                self._previous[number] = signal.signal(number, self._handle)
        return self

    def __exit__(self, *reason: object) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)

    @contextmanager
    def deferred(self) -> Iterator[None]:
        """Within the block a signal waits for `poll`, at the latest the one at its end."""
        self._agreement = StopAgreement()
        try:
            yield
        finally:
            self._agreement = None
        if alone():  # several processes end together, and little remains to do
            self.poll()

    def poll(self) -> None:
        """Raises Interrupted if a signal has come, to this process or to another."""
        agreed = self._agreement.tick(self.received) if self._agreement else self.received
        if agreed is not None:
            raise Interrupted(agreed)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if self.received is not None:
            if number == signal.SIGINT:
                self._insist()
            return
        deferred = self._agreement is not None
        if not deferred and frame is not None and frame.f_code.co_name == _SWALLOWING:
            windows = os.name == "nt"  # where os.kill would end the process, whatever the signal
            send, given = (signal.raise_signal, ()) if windows else (os.kill, (os.getpid(),))
            threading.Timer(0.01, send, (*given, number)).start()
            return
        self.received = number
        if not deferred:
            raise Interrupted(number)

    def _insist(self) -> None:
        # past Python's streams and exits: the signal may have come in the midst of either
        if self._warned:
            os.write(2, _SHOW_CURSOR if os.isatty(2) else b"")
            os._exit(128 + signal.SIGINT)
        self._warned = True
        doing = b"saving" if self._agreement else b"stopping"
        os.write(2, doing + b"; press again to stop at once\n")
