"""From the command line to a command, and from what it raises to an exit status."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Sequence

from wave_jax import __version__
from wave_jax.errors import UserError, nearest

OK, FAILED, USER_ERROR, INTERRUPTED = 0, 1, 2, 130

COMMANDS = {
    "train": "train a network, or go on with an interrupted training",
    "evaluate": "accuracy, precision, recall, F1 and confusions of a trained network",
    "predict": "label lines of text with a trained network",
    "reproduce": "a table or figure of the papers, measured and drawn, or all of them",
    "probe": "gradients of a text through the magnitude and the phase of its waves",
}
"""What each command does; the module wave_jax.cli.NAME has its `main(argv, prog) -> int`."""


def main(argv: Sequence[str] | None = None) -> int:
    """Runs `COMMAND [options]` and returns the exit status."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    if not arguments or arguments[0] in ("-h", "--help", "help"):
        print(_usage())
        return OK if arguments else USER_ERROR
    if arguments[0] == "--version":
        print(f"wave_jax {__version__}")
        return OK
    return run_command(arguments[0], arguments[1:])


def run_command(name: str, argv: Sequence[str] | None = None, *, prog: str | None = None) -> int:
    """Runs one command and returns its exit status.

    0 is success; 2 means that the user can mend it: one line on stderr says how; 130 follows
    Ctrl-C. Any other exception keeps its traceback, which makes the interpreter's status 1.
    """
    arguments = list(sys.argv[1:] if argv is None else argv)
    try:
        if name not in COMMANDS:
            raise UserError(
                f"unknown command {name!r}{nearest(name, COMMANDS)}; "
                f"the commands are {', '.join(COMMANDS)}"
            )
        module = importlib.import_module(f"wave_jax.cli.{name}")
        status = module.main(arguments, prog=prog or f"python -m wave_jax {name}")
        sys.stdout.flush()  # a closed pipe shows here, not in the interpreter's last moments
        return int(status)
    except UserError as error:
        print(f"error: {' '.join(str(error).split())}", file=sys.stderr)
        return USER_ERROR
    except BrokenPipeError:
        # The reader has gone (`... | head`): nobody is left to tell.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return INTERRUPTED


def _usage() -> str:
    lines = ["usage: python -m wave_jax COMMAND [options]", ""]
    lines += [f"  {name:<10} {summary}" for name, summary in COMMANDS.items()]
    lines += ["", "python -m wave_jax COMMAND --help lists a command's options with examples."]
    return "\n".join(lines)
