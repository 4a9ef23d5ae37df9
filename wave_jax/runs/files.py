"""Small files written atomically, and errors of the disk in one line."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from wave_jax.errors import UserError

_ERRNOS = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EIO, errno.EACCES}
# tensorstore reports the same errors in words only
_WORDS = [*(os.strerror(number) for number in sorted(_ERRNOS)), "RESOURCE_EXHAUSTED"]


def write_whole(path: Path, text: str, *, replace: bool = True) -> None:
    """Writes a text file atomically; `replace=False` leaves an existing one as it is."""
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        part.write_text(text, encoding="utf-8")
        if replace:
            part.replace(path)
        else:
            with suppress(FileExistsError):
                os.link(part, path)
    finally:
        with suppress(OSError):
            part.unlink(missing_ok=True)


@contextmanager
def explaining_disk_errors(folder: Path, kept: str) -> Iterator[None]:
    """Raises UserError where `folder` cannot be written; `kept` says what is safe all the same."""
    try:
        yield
    except UserError:
        raise
    except Exception as error:
        if (reason := _reason(error)) is None:
            raise
        raise UserError(
            f"cannot write to {folder}: {reason}; {kept}. Make room and give the same command "
            "again to resume"
        ) from error


def _reason(error: BaseException) -> str | None:
    if isinstance(error, OSError) and error.errno in _ERRNOS:
        return os.strerror(error.errno)
    found = [words for words in _WORDS if words in str(error)]
    if found or error.__cause__ is None:
        return found[0] if found else None
    return _reason(error.__cause__)
