"""User-fixable errors, as opposed to bugs, and the wording that error messages share."""

from __future__ import annotations

import difflib
import signal
from collections.abc import Iterable, Sequence
from pathlib import Path

_MOST_LISTED = 12


class UserError(ValueError):
    """Input that cannot be used: the text says what was expected, what came and what to do.

    Commands print the text on one line and exit with status 2.
    """


class PeerLost(RuntimeError):
    """Another process of the run has ended, so this one cannot continue; says what to do.

    Commands print the text on one line and exit with status 1.
    """


class Interrupted(SystemExit):
    """Training was stopped by a signal; uncaught, it ends the process with 130 or 143."""

    def __init__(self, number: int) -> None:
        super().__init__(128 + number)
        self.signal = signal.Signals(number)


def listed(names: Sequence[str]) -> str:
    """Returns the first few of `names` for a message, and the number of the others."""
    shown = ", ".join(shorten(repr(name)) for name in names[:_MOST_LISTED])
    more = len(names) - _MOST_LISTED
    return f"{shown} and {more} more" if more > 0 else shown


def one_line(error: BaseException, most: int = 300) -> str:
    """Returns the message of a library's exception, on one line and shortened."""
    return shorten(" ".join(str(error).split()), most)


def shorten(text: str, most: int = 40) -> str:
    """Returns `text`, its end replaced by '...' where it is longer than `most` characters."""
    return text if len(text) <= most else f"{text[: most - 3]}..."


def nearest(name: str, options: Iterable[str]) -> str:
    """Returns `", did you mean 'x'?"` for the option closest to `name`, or an empty string.

    >>> nearest("modulaton", ["interference", "modulation"])
    ", did you mean 'modulation'?"
    >>> nearest("zzz", ["interference", "modulation"])
    ''
    """
    found = difflib.get_close_matches(name, list(options), n=1, cutoff=0.6)
    return f", did you mean {found[0]!r}?" if found else ""


def nearest_path(path: Path, suffix: str = "") -> str:
    """Returns `", did you mean 'x'?"` for the existing path closest to `path`, or an empty string.

    Each part of the path may have its typo. With a `suffix`, only names that end in it are
    suggested.
    """
    found = _nearest_path(path, suffix)
    return f", did you mean {str(found)!r}?" if found is not None else ""


def _nearest_path(path: Path, suffix: str = "") -> Path | None:
    try:
        folder = path.parent if path.parent.is_dir() else _nearest_path(path.parent)
        files = [file for file in folder.iterdir() if file.name.endswith(suffix)] if folder else []
    except OSError:
        return None
    # 'reviews' is near to 'reviews.csv'
    named = {file.stem: file for file in files} | {file.name: file for file in files}
    found = difflib.get_close_matches(path.name, named, n=1, cutoff=0.6)
    return named[found[0]] if found else None
