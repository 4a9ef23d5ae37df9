"""What works without the modules that only some operating systems have."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from tests.cli.conftest import TINY, write_texts
from wave_jax.errors import UserError
from wave_jax.runs import system
from wave_jax.runs.files import write_whole
from wave_jax.runs.workdir import lock

# Windows as far as Python shows it: nothing of POSIX's own, and locks on ranges of bytes.
WINDOWS = """
import os, platform, signal, sys, types
held = set()
def locking(number, mode, count):
    place = os.fstat(number).st_ino, os.lseek(number, 0, os.SEEK_CUR)
    if place in held:
        raise PermissionError(13, "Permission denied")
    held.add(place)
sys.modules |= {"fcntl": None, "resource": None}
platform.libc_ver = lambda: ("", "")
import wave_jax.runs.job
from wave_jax.cli import main
# the standard library takes its presence for Windows
sys.modules["msvcrt"] = types.SimpleNamespace(locking=locking, LK_NBLCK=2)
status = main(sys.argv[1:])
assert len(held) == 1 and min(held)[1] > 1 << 20, "not a byte that others read"
sys.exit(status)
"""


def test_a_training_as_on_windows(tmp_path: Path) -> None:
    source, run = write_texts(tmp_path / "texts.csv", 60), tmp_path / "run"
    given = ["--data.source", source, "--data.label-column", "topic", "--train.steps", "1"]
    argv = ["train", *given, *TINY, "--model.kind", "mean", "--workdir", run]
    argv += ["--data.cache-dir", tmp_path / "cache"]
    done = subprocess.run(
        [sys.executable, "-c", WINDOWS, *map(str, argv)], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert json.loads((run / "summary.json").read_text())["process_bytes"] is None
    assert "process" not in next(line for line in done.stdout.splitlines() if "memory" in line)
    for path in tmp_path.rglob("*"):
        assert not set(path.name) & set('<>:"\\|?*'), "names that Windows forbids"


def test_another_training_is_noticed_by_both_kinds_of_lock(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "config.json").write_text("{}")
    held: list[int] = []

    def locking(number: int, mode: int, count: int) -> None:
        if held:
            raise PermissionError(13, "Permission denied")
        held.append(os.lseek(number, 0, os.SEEK_CUR))

    with (
        lock(tmp_path),
        pytest.raises(UserError, match="another training is running"),
        lock(tmp_path),
    ):
        pass
    monkeypatch.setitem(sys.modules, "fcntl", None)
    monkeypatch.setitem(sys.modules, "msvcrt", SimpleNamespace(locking=locking, LK_NBLCK=2))
    with (
        lock(tmp_path),
        pytest.raises(UserError, match="another training is running"),
        lock(tmp_path),
    ):
        pass
    assert held == [1 << 30], "behind the end, where no reader needs the byte"


def test_a_drive_without_locks_or_links_is_no_obstacle(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*args: object, **options: object) -> None:
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr("fcntl.flock", refuse)
    monkeypatch.setattr(os, "link", refuse)
    for text in ("first", "second"):
        write_whole(tmp_path / "config.json", text, replace=False)
    assert (tmp_path / "config.json").read_text() == "first", "nothing is replaced"
    assert os.listdir(tmp_path) == ["config.json"]
    with lock(tmp_path):
        pass


def test_peak_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    linux = system.process_peak_bytes()
    assert linux is not None
    assert 1e7 < linux < 1e12
    monkeypatch.setattr(sys, "platform", "darwin")
    assert system.process_peak_bytes() == pytest.approx(linux / 1024, rel=0.1), "bytes already"
    monkeypatch.setitem(sys.modules, "resource", None)
    assert system.process_peak_bytes() is None
