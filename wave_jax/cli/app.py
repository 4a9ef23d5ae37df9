"""From the command line to a command, and from what it raises to an exit status."""

from __future__ import annotations

import importlib
import io
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import fields
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from wave_jax import __version__
from wave_jax.errors import PeerLost, UserError, nearest

OK, FAILED, USER_ERROR, INTERRUPTED = 0, 1, 2, 130

COMMANDS = {
    "train": "train a network, or resume an interrupted training",
    "evaluate": "accuracy, precision, recall, F1 and confusion matrix of a trained network",
    "predict": "label lines of text with a trained network",
    "reproduce": "measure and draw one of the papers' tables and figures, or all of them",
    "probe": "gradients of a text through the magnitude and the phase of its waves",
}
"""What each command does; the module wave_jax.cli.NAME has its `main(argv, prog)`."""

_T = TypeVar("_T")


def main(argv: Sequence[str] | None = None) -> int:
    """Runs `COMMAND [options]` and returns the exit status."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    if not arguments or arguments[0] in ("-h", "--help", "help"):
        print("usage: python -m wave_jax COMMAND [options]\n")
        print("\n".join(f"  {name:<10} {summary}" for name, summary in COMMANDS.items()))
        print("\npython -m wave_jax COMMAND --help lists a command's options, with examples.")
        return OK if arguments else USER_ERROR
    if arguments[0] == "--version":
        print(f"wave_jax {__version__}")
        return OK
    return run_command(arguments[0], arguments[1:])


def run_command(name: str, argv: Sequence[str] | None = None, *, prog: str | None = None) -> int:
    """Runs one command and returns its exit status; bugs keep their traceback."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    if isinstance(sys.stdout, io.TextIOWrapper):  # a class's name may not be in its encoding
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        if name not in COMMANDS:
            near = nearest(name, COMMANDS)
            raise UserError(f"no command {name!r}: expected {', '.join(COMMANDS)}{near}")
        module = importlib.import_module(f"wave_jax.cli.{name}")
        module.main(arguments, prog=prog or f"python -m wave_jax {name}")
        sys.stdout.flush()  # a closed pipe shows here, not while the interpreter shuts down
        return OK
    except BrokenPipeError:  # the reader has gone, as in `... | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED
    except (UserError, PeerLost, KeyboardInterrupt) as error:
        return report(error)


def report(error: UserError | PeerLost | KeyboardInterrupt) -> int:
    """Prints an error that is not a bug as one line on stderr; returns the exit status."""
    if isinstance(error, KeyboardInterrupt):
        print("interrupted", file=sys.stderr)
        return INTERRUPTED
    print(f"error: {' '.join(str(error).split())}", file=sys.stderr)
    return USER_ERROR if isinstance(error, UserError) else FAILED


def parse(default: _T, argv: Sequence[str], prog: str, description: str, file_option: str) -> _T:
    """Returns the dataclass `default` with the fields replaced that `argv` names.

    tyro exits for `--help` (0) and for wrong options and values (2, with similar options in a box).
    `file_option` is suggested for a stray argument that is the path of an existing file.
    """
    import tyro

    call = partial(tyro.cli, type(default), prog=prog, description=description, default=default)
    found, unknown = call(args=list(argv), return_unknown_args=True)
    if not unknown:
        return found
    stray = unknown[0]
    if stray.startswith("-"):
        return call(args=list(argv))
    hint = f", did you mean '{file_option} {stray}'?" if Path(stray).exists() else ""
    rule = "options begin with --, and a value with spaces needs quotes (--help has examples)"
    raise UserError(f"unexpected argument {stray!r}: {rule}{hint}")


def fields_of(cls: type, instance: Any) -> dict[str, Any]:
    """Returns the values of the fields of the dataclass `cls` that an instance has too."""
    return {each.name: getattr(instance, each.name) for each in fields(cls)}


def print_table(title: str, columns: Mapping[str, Sequence[Any]], *, floats: str = ".4f") -> None:
    """Prints columns by their names: strings as they are, floats in the given format."""
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table

    table = Table(title=title, title_justify="left", box=SIMPLE_HEAD)
    for name, cells in columns.items():
        words = all(isinstance(cell, str) for cell in cells)
        table.add_column(name, justify="left" if words else "right", no_wrap=not words)
    formats = {int: ",", float: floats, str: ""}
    for row in zip(*columns.values(), strict=True):
        table.add_row(*(format(cell, formats[type(cell)]) for cell in row))
    # brackets in a text or the name of a class are no markup
    Console(markup=False, emoji=False, highlight=False).print(table)
