"""Trainings forked from a server that has imported everything: seconds less for each."""

from __future__ import annotations

import multiprocessing
import os
import sys
from pathlib import Path

from tests.faults.runs import Place

_CONTEXT = multiprocessing.get_context("forkserver")
_CONTEXT.set_forkserver_preload(["tests.faults.forked", "wave_jax.runs.job"])


class Training:
    """A training in a process of its own; what it prints goes to a file.

    Args:
        shown: the file, by default one beside `workdir`.
    """

    def __init__(self, place: Place, workdir: Path, *options: str, shown: Path | None = None):
        self.shown = shown or workdir.with_suffix(".shown")
        self.shown.parent.mkdir(exist_ok=True)
        self.shown.write_text("")
        arguments = place.command(workdir, *options)[3:]  # without python -u train.py
        job = (arguments, place.variables(), str(self.shown))
        self._process = _CONTEXT.Process(target=_run, args=job)
        self._process.start()

    @property
    def running(self) -> bool:
        """Whether it has not ended."""
        return self._process.is_alive()

    def signal(self, number: int) -> None:
        """Sends a signal."""
        assert self._process.pid is not None
        os.kill(self._process.pid, number)

    def finish(self, timeout: float = 120) -> tuple[int, str]:
        """Returns the exit status, negative for a signal, and what was printed."""
        self._process.join(timeout)
        if self._process.is_alive():
            self._process.kill()
            raise TimeoutError(f"it did not end: {self.shown.read_text()[-2000:]}")
        return self._process.exitcode or 0, self.shown.read_text()


def _run(arguments: list[str], variables: dict[str, str], shown: str) -> None:
    """Becomes what `python train.py ARGUMENTS` would be."""
    file = os.open(shown, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    for stream in (1, 2):
        os.dup2(file, stream)
    os.environ.clear()
    os.environ |= variables
    import jax

    for name in ("jax_compilation_cache_dir", "jax_platforms"):
        jax.config.update(name, variables[name.upper()])
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
    from wave_jax.cli.app import run_command

    sys.exit(run_command("train", arguments, prog="train.py"))
