"""Signals at awkward moments."""

import os
import signal
import time
from types import SimpleNamespace

import pytest

from wave_jax.errors import Interrupted
from wave_jax.runs import signals
from wave_jax.runs.signals import Interrupt


@pytest.mark.parametrize("system", ["posix", "nt"])
def test_a_signal_during_garbage_collection_is_not_lost(monkeypatch, system):
    """On Windows os.kill, which the fake lacks, would end the process."""
    if system == "nt":
        monkeypatch.setattr(signals, "os", SimpleNamespace(name="nt"))
    passed = []

    def _xla_gc_callback():
        os.kill(os.getpid(), signal.SIGTERM)
        for _ in range(1000):  # the handler runs in here, where an exception would be ignored
            passed.append(None)

    def collect():
        _xla_gc_callback()
        for _ in range(500):
            time.sleep(0.01)

    with pytest.raises(Interrupted), Interrupt():
        collect()
    assert len(passed) == 1000
