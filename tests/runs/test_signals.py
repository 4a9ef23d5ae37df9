"""Signals at awkward moments."""

import os
import signal
import time

import pytest

from wave_jax.errors import Interrupted
from wave_jax.runs.signals import Interrupt


def test_a_signal_during_garbage_collection_is_not_lost():
    passed = []

    def _xla_gc_callback():
        os.kill(os.getpid(), signal.SIGTERM)
        for _ in range(1000):  # the handler runs in here, where an exception would be ignored
            passed.append(None)

    def collect():
        _xla_gc_callback()
        time.sleep(5)

    with pytest.raises(Interrupted), Interrupt():
        collect()
    assert len(passed) == 1000
