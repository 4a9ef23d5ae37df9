"""`train.py` and `python -m wave_jax train`: learn from texts, evaluate, say what to do next."""

from __future__ import annotations

import os
import re
import shlex
import sys
import time
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any

import tyro

from wave_jax.cli.app import FAILED, USER_ERROR, fields_of, parse, report
from wave_jax.errors import Interrupted, PeerLost, UserError
from wave_jax.models.build import build_model, for_kind
from wave_jax.runs.recipes import load_recipe
from wave_jax.training.config import Config, check_config

_DESCRIPTION = """Trains a Wave Network and evaluates it on the test split.

Examples:
  {prog}                                      a first run, offline, about a minute
  {prog} --config ag_news                     the paper's settings for AG News
  {prog} --config ag_news --preset best --workdir runs/ag
  {prog} --data.source mine.csv --data.text-columns title body --data.label-column topic
  {prog} --data.source train.jsonl --data.test test.jsonl --model.op interference

The defaults below are those of the recipe; every field can be overridden. The same command on the
workdir of an unfinished run resumes it; on that of a finished one it prints the summary."""


@dataclass(frozen=True)
class Recipe:
    """Where the defaults come from."""

    config: str = "default"
    """Recipe installed with the package (ag_news, dbpedia14, default, imdb, sst2), or the path of a
    Python file with get_config(preset), which is executed."""
    preset: str | None = None
    """Variant of the recipe: 'paper' (to the letter), 'adapted' (see docs/CHOICES.md) or 'best' for
    the installed ones. The recipe 'default' takes 'best' by default, and 'adapted' for --model.kind
    transformer, bert and fnet."""


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


@dataclass(frozen=True)
class Arguments(Config, Recipe):
    """All options: recipe and processes, too, which are not part of config.json."""

    distributed: Distributed = field(default_factory=Distributed)
    """The other processes of the same training, on this machine or others."""


def main(argv: Sequence[str], *, prog: str) -> None:
    """Runs a training."""
    arguments = read_arguments(argv, prog=prog)
    with join_processes(arguments.distributed):
        from rich.console import Console

        from wave_jax.inference.lookup_table import without_table
        from wave_jax.runs.job import train
        from wave_jax.training.distributed import alone, is_primary, on_primary

        name, config = Path(arguments.config).stem, Config(**fields_of(Config, arguments))
        check_config(config)  # before there is a folder
        workdir = arguments.workdir or on_primary(lambda: str(new_folder(name)))
        again = argv if arguments.workdir else [*argv, "--workdir", workdir]
        resume, console = f"{prog} {shlex.join(again)}", Console(soft_wrap=True)
        try:
            summary = train(config, workdir=Path(workdir), console=console, resume_command=resume)
        except Interrupted as stop:
            if not alone():  # the other processes must be notified first
                raise
            # Everything is written; at the ordinary exit the interpreter would wait for threads
            # that compile, perhaps for minutes.
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(128 + stop.signal)
        if is_primary():
            folder = shlex.quote(workdir)
            test = "" if summary.test_examples else " --data.test FILE"
            print(f"Next:\n  python -m wave_jax evaluate {folder}{test}")
            print(f'  python -m wave_jax predict {folder} --text "any text"')
            shape: dict[str, Any] = {"vocab_size": 1, "num_classes": 2, "sentence_end_ids": (0,)}
            model = build_model(config.model, **shape, max_length=config.data.max_length)
            if without_table(model, position="none") is None:
                page = "(a page that runs the network, to type into and to send to others)"
                print(f"  python -m wave_jax export {folder} demo.html --format web    {page}")
            print(f"  {prog} --data.source YOUR.csv    (--help explains every option)")


@contextmanager
def join_processes(options: Distributed) -> Iterator[None]:
    """Connects this process with the others, if any; an error ends it right here.

    The ordinary exit would wait for processes that wait for this one.
    """
    given = (options.coordinator, options.processes, options.process)
    if not options.auto and given == (None, None, None):
        yield
        return
    _check_processes(options)
    from wave_jax.training import distributed

    distributed.join(*given, wait=options.wait, timeout=options.timeout)
    try:
        yield
    except BaseException as error:
        status = 128 + error.signal if isinstance(error, Interrupted) else FAILED
        if isinstance(error, UserError) and not distributed.is_primary():
            status = USER_ERROR  # which all processes have, and the first one reports
        elif isinstance(error, UserError | PeerLost | KeyboardInterrupt):
            status = report(error)
        elif not isinstance(error, Interrupted):
            traceback.print_exception(error)
        sys.stdout.flush()
        sys.stderr.flush()
        distributed.leave(status, seconds=0 if isinstance(error, PeerLost) else 5)


def read_arguments(argv: Sequence[str], *, prog: str) -> Arguments:
    """Returns the arguments, over the defaults of the recipe that they choose."""
    recipe, _ = tyro.cli(Recipe, args=argv, prog=prog, add_help=False, return_unknown_args=True)
    config = load_recipe(recipe.config, recipe.preset)
    default = Arguments(**fields_of(Recipe, recipe), **fields_of(Config, config))
    found = parse(default, argv, prog, _DESCRIPTION.format(prog=prog), "--data.source")
    if recipe == Recipe() and found.model.kind in ("transformer", "bert", "fnet"):
        return read_arguments([*argv, "--preset", "adapted"], prog=prog)
    return replace(found, model=for_kind(found.model, default.model))


def new_folder(name: str) -> Path:
    """Makes and returns runs/NAME-DATE-TIME; never one that exists."""
    stem = Path("runs", f"{name}-{time.strftime('%Y%m%d-%H%M%S')}")
    folder, number = stem, 1
    while True:
        try:
            folder.mkdir(parents=True)
            return folder
        except FileExistsError:
            number += 1
            folder = Path(f"{stem}-{number}")
        except OSError as error:
            raise UserError(f"cannot make {folder}: {error.strerror}; give --workdir") from error


def _check_processes(options: Distributed) -> None:
    where, count, index = options.coordinator, options.processes, options.process
    if where is not None and None in (count, index):
        needed = "--distributed.processes N and --distributed.process I"
        raise UserError(f"--distributed.coordinator needs {needed} beside it")
    for name, fits, expected in (
        ("coordinator", lambda v: re.fullmatch(r".+:\d{1,5}", v), "HOST:PORT of process 0"),
        ("wait", lambda v: v >= 5, "5 or more"),
        ("timeout", lambda v: v >= 5, "5 or more"),
        ("processes", lambda v: v >= 1, "1 or more"),
        ("process", lambda v: 0 <= v < (count or v + 1), "0 to --distributed.processes - 1"),
    ):
        value = getattr(options, name)
        if value is not None and not fits(value):
            raise UserError(f"--distributed.{name} is {value}, expected {expected}")
