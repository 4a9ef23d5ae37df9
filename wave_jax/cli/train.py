"""`train.py` and `python -m wave_jax train`: learn from texts, evaluate, say what to do next."""

from __future__ import annotations

import os
import shlex
import shutil
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field, fields
from pathlib import Path

from wave_jax.cli.arguments import parse
from wave_jax.cli.processes import FLAG, Distributed, spelled_out, taking_part
from wave_jax.cli.recipes import load_config_file, split_arguments
from wave_jax.errors import UserError
from wave_jax.training.config import Config

_DEFAULT_CONFIG = Path(__file__).parents[2] / "configs" / "default.py"

_DESCRIPTION = """Trains a Wave Network and evaluates it on the test part.

Examples:
  {prog}                                      a first run, offline, about a minute
  {prog} --config configs/ag_news.py          the paper's settings for AG News
  {prog} --config configs/ag_news.py --preset best --workdir runs/ag
  {prog} --data.source mine.csv --data.text-columns title body --data.label-column topic
  {prog} --data.source train.jsonl --data.test test.jsonl --model.op interference

--config PATH takes a file with get_config(preset), --preset NAME one of its variants (paper, best);
every field below can be overridden. The same command on the folder of an unfinished run goes on
with it; on a finished one it prints the summary."""


def main(argv: Sequence[str], *, prog: str) -> int:
    """Runs a training; returns the exit status."""
    arguments, name = read_arguments(argv, prog=prog)
    with taking_part(arguments.distributed):
        from rich.console import Console

        from wave_jax.runs.job import train
        from wave_jax.training.distributed import is_primary, on_primary

        config = arguments.config
        workdir = Path(config.workdir or on_primary(lambda: str(new_folder(name))))
        guard = no_trace_of_failed_start(workdir) if is_primary() else nullcontext()
        with guard, leaving_at_once():
            again = _command(argv, prog, workdir)
            train(config, workdir=workdir, console=Console(soft_wrap=True), resume_command=again)
        if is_primary():
            print(_next_steps(workdir, prog))
    return 0


@dataclass(frozen=True)
class Arguments(Config):
    """All options: the configuration, and what does not belong to it."""

    distributed: Distributed = field(default_factory=Distributed)
    """The other processes of the same training, on this machine or others."""

    @property
    def config(self) -> Config:
        """The configuration alone."""
        return Config(**{each.name: getattr(self, each.name) for each in fields(Config)})


def read_arguments(argv: Sequence[str], *, prog: str) -> tuple[Arguments, str]:
    """Returns what the arguments say, and the name of the configuration's file."""
    path, preset, rest = split_arguments(argv)
    if path is None and _DEFAULT_CONFIG.is_file():
        path = _DEFAULT_CONFIG
    if path is None:  # an installation without the repository's configs/
        if preset is not None:
            raise UserError(f"--preset {preset} needs --config PATH: a file that has this preset")
        default, name = Config(), "default"
    else:
        default, name = load_config_file(path, preset), path.stem
    arguments = parse(
        Arguments(**{each.name: getattr(default, each.name) for each in fields(Config)}),
        spelled_out(rest),
        prog=prog,
        description=_DESCRIPTION.format(prog=_runnable(prog)),
        also=("--config", "--preset", FLAG),
    )
    return arguments, name


def read_config(argv: Sequence[str], *, prog: str) -> tuple[Config, str]:
    """Returns the configuration that the arguments make, and the name of its file."""
    arguments, name = read_arguments(argv, prog=prog)
    return arguments.config, name


def new_folder(name: str) -> Path:
    """Makes and returns runs/NAME-DATE-TIME; never one that exists."""
    stem = Path("runs") / f"{name}-{time.strftime('%Y%m%d-%H%M%S')}"
    for attempt in range(1, 1000):
        folder = stem if attempt == 1 else stem.with_name(f"{stem.name}-{attempt}")
        try:
            folder.mkdir(parents=True)
        except FileExistsError:
            continue
        except OSError as error:
            raise UserError(f"cannot make {folder}: {error.strerror}; give --workdir") from error
        return folder
    raise UserError(f"{stem} and 999 more exist already; give --workdir")


@contextmanager
def leaving_at_once() -> Iterator[None]:
    """Ends a process that was stopped by a signal here, where all is written.

    The interpreter would wait for programs that threads compile, which may take minutes.
    """
    from wave_jax.errors import Interrupted
    from wave_jax.training.distributed import alone

    try:
        yield
    except Interrupted as stop:
        if not alone():  # the others are told first
            raise
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(128 + stop.signal)


@contextmanager
def no_trace_of_failed_start(workdir: Path) -> Iterator[None]:
    """Removes a folder that was new or empty if what was asked for turns out to be impossible.

    So the corrected command may name the same folder. Once something was learned all is kept.
    """
    try:
        existed = workdir.is_dir()
        fresh = not workdir.exists() or (existed and not any(workdir.iterdir()))
    except OSError as error:
        raise UserError(f"--workdir {workdir} cannot be used: {error.strerror}") from error
    try:
        yield
    except UserError as error:
        from wave_jax.runs.workdir import Occupied

        if isinstance(error, Occupied):  # it has become another's
            raise
        metrics = workdir / "metrics.jsonl"
        learned = metrics.is_file() and metrics.stat().st_size > 0
        kept = [*(workdir / "checkpoints").glob("*"), *(workdir / "nonfinite").glob("*")]
        if fresh and not learned and not kept:
            shutil.rmtree(workdir, ignore_errors=True)
            if existed:
                workdir.mkdir(exist_ok=True)
        raise


def _command(argv: Sequence[str], prog: str, workdir: Path) -> str:
    """The command line that goes on with this run."""
    given = any(argument.partition("=")[0] == "--workdir" for argument in argv)
    words = [*argv] if given else [*argv, "--workdir", str(workdir)]
    return f"{_runnable(prog)} {shlex.join(words)}"


def _runnable(prog: str) -> str:
    return f"python {prog}" if prog.endswith(".py") else prog


def _next_steps(workdir: Path, prog: str) -> str:
    folder = shlex.quote(str(workdir))
    return "\n".join(
        (
            "Next:",
            f"  python -m wave_jax evaluate {folder}",
            f'  python -m wave_jax predict {folder} --text "any text"',
            f"  {_runnable(prog)} --data.source YOUR.csv    (--help explains every option)",
        )
    )
