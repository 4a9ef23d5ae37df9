"""Signals at awkward moments."""

import os
import signal
import subprocess
import sys
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


def test_a_second_ctrl_c_is_answered_and_the_third_ends_the_process():
    """In a process of its own, whose saving takes longer than anybody's patience."""
    program = (
        "import time; from wave_jax.runs.signals import Interrupt\n"
        "with Interrupt() as interrupt, interrupt.deferred():\n"
        "    print('ready', flush=True)\n"
        "    while interrupt.received is None: time.sleep(0.01)\n"
        "    print('stopping', flush=True)\n"
        "    for _ in range(600): time.sleep(0.1)"  # a clock that jumps ends but one of them
    )
    with subprocess.Popen(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as running:
        assert running.stdout.readline() == "ready\n"
        running.send_signal(signal.SIGINT)
        assert running.stdout.readline() == "stopping\n"
        running.send_signal(signal.SIGTERM)  # which changes nothing any more
        running.send_signal(signal.SIGINT)
        line = running.stderr.readline()
        assert line == "saving; press again to stop at once\n"
        assert running.poll() is None
        sent = time.monotonic()
        running.send_signal(signal.SIGINT)
        out, err = running.communicate(timeout=30)
    assert time.monotonic() - sent < 5
    assert (running.returncode, out, err) == (130, "", "")
