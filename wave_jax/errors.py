"""Errors that the user of a command can mend, told apart from faults of the program."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class UserError(ValueError):
    """What the user gave cannot be used; the text says what was expected, what came and what to do.

    Commands print the text on one line and exit with status 2; from Python it is a ValueError.
    """


class PeerLost(RuntimeError):
    """Another process of a run has stopped, so this one cannot go on; the text says what to do.

    Commands print the text on one line and exit with status 1.
    """


def nearest(name: str, options: Iterable[str]) -> str:
    """Returns `", did you mean 'x'?"` for the option that `name` resembles, or an empty string.

    >>> nearest("modulaton", ["interference", "modulation"])
    ", did you mean 'modulation'?"
    >>> nearest("zzz", ["interference", "modulation"])
    ''
    """
    found = difflib.get_close_matches(name, list(options), n=1, cutoff=0.6)
    return f", did you mean {found[0]!r}?" if found else ""
