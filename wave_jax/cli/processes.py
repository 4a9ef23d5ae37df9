"""`--distributed`: this process as one of several that train the same network."""

from __future__ import annotations

import re
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Annotated

import tyro

from wave_jax.cli.app import report
from wave_jax.errors import PeerLost, UserError


@dataclass(frozen=True)
class Distributed:
    """How this process finds the others that train the same network."""

    auto: Annotated[bool, tyro.conf.arg(aliases=["--distributed"])] = False
    """Find them through SLURM, Open MPI or a TPU pod; --distributed alone means this."""
    coordinator: str | None = None
    """HOST:PORT of process 0, the same for all; any free port."""
    processes: int | None = None
    """Number of processes."""
    process: int | None = None
    """Index of this process, from 0."""
    wait: int = 60
    """Seconds within which all processes must have connected."""
    timeout: int = 30
    """Seconds without a heartbeat after which a process counts as dead and the others stop."""


@contextmanager
def join_processes(options: Distributed) -> Iterator[None]:
    """Connects this process with the others for the length of the block, if there are any.

    An error ends the process here, after its message: the ordinary exit would wait for processes
    that wait for this one.
    """
    given = (options.coordinator, options.processes, options.process)
    if not options.auto and given == (None, None, None):
        yield
        return
    _check(options)
    from wave_jax.training import distributed

    distributed.join(*given, wait=options.wait, timeout=options.timeout)
    try:
        yield
    except BaseException as error:
        status = _status(error, primary=distributed.is_primary())
        sys.stdout.flush()
        sys.stderr.flush()
        distributed.leave(status, seconds=0 if isinstance(error, PeerLost) else 5)


def _check(options: Distributed) -> None:
    count, index = options.processes, options.process
    if options.coordinator is not None and None in (count, index):
        raise UserError(
            "--distributed.coordinator needs --distributed.processes N and --distributed.process I "
            "beside it"
        )
    if options.coordinator is not None and not re.fullmatch(r".+:\d{1,5}", options.coordinator):
        raise UserError(
            f"--distributed.coordinator is {options.coordinator!r}, expected HOST:PORT of process "
            "0, the same for all"
        )
    for name, least in (("wait", 5), ("timeout", 5), ("processes", 1), ("process", 0)):
        value = getattr(options, name)
        if value is not None and value < least:
            raise UserError(f"--distributed.{name} is {value}, expected {least} or more")
    if count is not None and index is not None and index >= count:
        raise UserError(
            f"--distributed.process is {index}, expected 0 to --distributed.processes - 1"
        )


def _status(error: BaseException, *, primary: bool) -> int:
    """Prints an error as the commands do, one that all processes have only once."""
    if isinstance(error, UserError) and not primary:
        return 2
    if isinstance(error, UserError | PeerLost | KeyboardInterrupt):
        return report(error)
    if isinstance(error, SystemExit):
        return error.code if isinstance(error.code, int) else 1
    traceback.print_exception(error)
    return 1
