"""From the command line to a command, and from what it raises to an exit status."""

from __future__ import annotations

import difflib
import importlib
import io
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields, is_dataclass
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
    "export": "a trained network for others: Hugging Face layout, ONNX, or a web page",
    "probe": "gradients of a text through the magnitude and the phase of its waves",
}
"""What each command does; the module wave_jax.cli.NAME has its `main(argv, prog)`."""

# last parts of options: what others call what we have
_ALIASES = {
    **{"lr": "learning-rate", "bs": "batch-size", "wd": "weight-decay", "max-steps": "steps"},
    **dict.fromkeys(("data", "dataset", "file", "train-file", "train-data"), "source"),
    **dict.fromkeys(("test-file", "test-data"), "test"),
    **dict.fromkeys(("out", "output", "output-dir", "logdir"), "workdir"),
    **{"model": "kind", "hidden-size": "dim", "patience": "early-stopping", "id": "id-column"},
}

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

    tyro exits for `--help` (0) and for wrong values (2, in a box). `file_option` is suggested for a
    stray argument that is the path of an existing file.

    Raises:
      UserError: an unknown option, with the one that was probably meant, or a stray argument.
    """
    import tyro

    call = partial(tyro.cli, type(default), prog=prog, description=description, default=default)
    found, unknown = call(args=list(argv), return_unknown_args=True)
    if not unknown:
        return found
    stray = unknown[0]
    if stray.startswith("-"):
        hint = similar(stray, list(_options(default)))
        raise UserError(f"unknown option {stray.partition('=')[0]}{hint}")
    hint = f", did you mean '{file_option} {stray}'?" if Path(stray).exists() else ""
    rule = "options begin with --, and a value with spaces needs quotes (--help has examples)"
    raise UserError(f"unexpected argument {stray!r}: {rule}{hint}")


def similar(option: str, known: Sequence[str]) -> str:
    """Returns `", did you mean --x.y?"` for the known option like `option`, or that --help helps.

    First comes one with the same last part (or that which it is short for), then a similar one.

    >>> known = ["train.learning-rate", "train.batch-size", "train.eval-batch-size", "data.test"]
    >>> [similar(each, known)[17:] for each in ("--lr", "--batch_size=8", "--tets", "--data.tset")]
    ['train.learning-rate?', 'train.batch-size?', 'data.test?', 'data.test?']
    """
    name = option.partition("=")[0].lstrip("-").replace("_", "-").lower()
    section, _, last = name.rpartition(".")
    ends = {each.rpartition(".")[2]: each for each in reversed(known)}
    last = _ALIASES[last] if _ALIASES.get(last) in ends else last
    near = partial(difflib.get_close_matches, n=1, cutoff=0.7)
    found = [last] if last in ends else near(name, known) if section else []
    found = [ends.get(each, each) for each in found or near(last, ends)]
    return f", did you mean --{found[0]}?" if found else ": --help lists all options"


def _options(instance: Any, prefix: str = "") -> Iterator[str]:
    """Yields the names of the options that tyro makes of a dataclass, nested ones too."""
    for each in fields(instance):
        name, value = each.name.replace("_", "-"), getattr(instance, each.name)
        if is_dataclass(value):
            yield from _options(value, f"{prefix}{name}.")
        elif "Positional" not in str(each.type):
            yield prefix + name
            if isinstance(value, bool):
                yield f"{prefix}no-{name}"


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
