"""`--distributed`: this process as one of several that train one network."""

from __future__ import annotations

import re
import sys
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from wave_jax.errors import PeerLost, UserError

FLAG, ON = "--distributed", "--distributed.auto"


@dataclass(frozen=True)
class Distributed:
    """How this process finds the others that train the same network; not a part of config.json."""

    auto: bool = False
    """Find them through SLURM, Open MPI or a TPU pod; --distributed alone means this."""
    coordinator: str | None = None
    """HOST:PORT of process 0, the same for all; any free port."""
    processes: int | None = None
    """How many processes there are."""
    process: int | None = None
    """The number of this process, from 0."""
    wait: int = 60
    """Seconds within which all processes must have come together."""
    timeout: int = 30
    """Seconds of silence after which a process counts as dead and the others stop."""

    @property
    def asked_for(self) -> bool:
        """Whether any option says that there are several processes."""
        return self.auto or (self.coordinator, self.processes, self.process) != (None,) * 3


def spelled_out(argv: Sequence[str]) -> list[str]:
    """Returns the arguments with `--distributed` alone written as the flag it stands for."""
    return [ON if argument == FLAG else argument for argument in argv]


@contextmanager
def taking_part(options: Distributed) -> Iterator[None]:
    """Joins the other processes for the length of the block, if there are any.

    An error ends the process here, after its line: on the ordinary way out it would wait for
    processes that wait for it.
    """
    if not options.asked_for:
        yield
        return
    _check(options)
    from wave_jax.training import distributed

    distributed.join(
        options.coordinator,
        options.processes,
        options.process,
        wait=options.wait,
        timeout=options.timeout,
    )
    try:
        yield
    except BaseException as error:
        status = _report(error, distributed.is_primary())
        sys.stdout.flush()
        sys.stderr.flush()
        distributed.leave(status, seconds=0 if isinstance(error, PeerLost) else 5)


def _check(options: Distributed) -> None:
    given = (options.processes, options.process)
    if options.coordinator is not None and None in given:
        raise UserError(
            "--distributed.coordinator needs --distributed.processes N and --distributed.process I "
            "beside it"
        )
    if options.coordinator is not None and not re.fullmatch(r".+:\d{1,5}", options.coordinator):
        raise UserError(
            f"--distributed.coordinator is {options.coordinator!r}, expected HOST:PORT of process "
            "0, the same for all"
        )
    for name, seconds in (("wait", options.wait), ("timeout", options.timeout)):
        if seconds < 5:
            raise UserError(f"--distributed.{name} is {seconds}, expected 5 or more seconds")
    if options.processes is not None and options.processes < 1:
        raise UserError(f"--distributed.processes is {options.processes}, expected 1 or more")
    if options.process is not None and not 0 <= options.process < (options.processes or 10**9):
        raise UserError(
            f"--distributed.process is {options.process}, expected 0 to --distributed.processes - 1"
        )


def _report(error: BaseException, primary: bool) -> int:
    """Says what went wrong and returns the exit status, as the commands do in one process."""
    if isinstance(error, UserError | PeerLost):
        line = " ".join(str(error).split())
        if primary or isinstance(error, PeerLost):
            print(f"error: {line}", file=sys.stderr)
        return 2 if isinstance(error, UserError) else 1
    if isinstance(error, SystemExit):
        return error.code if isinstance(error.code, int) else 1
    if isinstance(error, KeyboardInterrupt):
        return 130
    traceback.print_exception(error)
    return 1
