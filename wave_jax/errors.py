"""Errors that the user of a command can mend, told apart from faults of the program."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from pathlib import Path


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


def nearest_path(path: Path, suffix: str = "") -> str:
    """Returns `", did you mean 'x'?"` for the existing path that `path` resembles, or "".

    Folders that do not exist are looked for in the same way, so a slip in each part is found. With
    a `suffix` only files that end in it are offered.
    """
    found = _nearest_path(path, suffix)
    return f", did you mean {str(found)!r}?" if found is not None else ""


def _nearest_path(path: Path, suffix: str = "") -> Path | None:
    folder: Path | None = path.parent
    try:
        if folder != path and not path.parent.is_dir():
            folder = _nearest_path(path.parent)
        if folder is None or not folder.is_dir():
            return None
        names = [entry.name for entry in folder.iterdir() if entry.name.endswith(suffix)]
    except OSError:
        return None
    if path.name in names:
        return folder / path.name
    stems = {Path(name).stem: name for name in names}  # 'reviews' is near to 'reviews.csv'
    found = difflib.get_close_matches(path.name, [*names, *stems], n=1, cutoff=0.6)
    return folder / stems.get(found[0], found[0]) if found else None
