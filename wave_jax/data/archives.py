"""The files of a folder, or of a zip or tar archive, which is read in place."""

from __future__ import annotations

import io
import math
import re
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import IO, Any

from wave_jax.data.streams import COMPRESSED, Input, open_file, printable, reading
from wave_jax.errors import UserError, one_line

_ARCHIVES = (".zip", ".tar", ".tgz", ".tar.gz", ".tar.bz2", ".tar.xz")
_Open = Callable[[], IO[bytes]]


def holds_files(path: Path) -> bool:
    """Returns whether a path is a folder or, by its name, an archive."""
    return path.is_dir() or path.name.lower().endswith(_ARCHIVES)


@contextmanager
def open_files(place: Path, encoding: str | None = None) -> Iterator[dict[str, Input]]:
    """Opens the regular files of a folder, or of an archive: nothing is extracted.

    They are named by their paths in it, with '/', and sorted; of a folder, four levels are read.
    Hidden files are left out, as are the links of an archive, whose '..' are left out of the names.
    """
    with reading(str(place)), ExitStack() as stack:
        if place.is_dir():
            paths = {path.relative_to(place).as_posix(): path for path in _walk(place, 4)}
            yield {n: Input.file(path, encoding, n) for n, path in sorted(paths.items())}
            return
        files = {}
        try:
            for name, opened in _members(place, stack):
                parts = [p for p in re.split(r"[/\\]", name) if p not in ("", ".", "..")]
                if parts and not any(map(_is_hidden, parts)):
                    shown = printable("/".join([place.name, *parts]))
                    member = partial(_open_member, shown, opened)
                    files["/".join(parts)] = Input(shown, member, place, encoding)
        except (OSError, UserError):
            raise
        except Exception as error:  # bytes that the libraries do not expect in a header
            raise UserError(f"{place}: damaged archive ({one_line(error)})") from error
        yield dict(sorted(files.items()))


def _walk(folder: Path, depth: int) -> Iterator[Path]:
    for path in folder.iterdir():
        if path.is_file() and not _is_hidden(path.name):
            yield path
        elif depth > 1 and path.is_dir() and not _is_hidden(path.name):
            yield from _walk(path, depth - 1)


def _members(place: Path, stack: ExitStack) -> Iterator[tuple[str, _Open]]:
    """Opens an archive in `stack`; yields the name of each file in it, and what opens it."""
    if place.suffix.lower() == ".zip":
        zipped = stack.enter_context(zipfile.ZipFile(place))
        for info in zipped.infolist():
            if not info.is_dir():
                yield info.filename, partial(zipped.open, info)
        return
    stream = stack.enter_context(_Capped(open_file(place)))  # type: ignore[arg-type]
    tarred = stack.enter_context(tarfile.TarFile(fileobj=stream))
    extract: Callable[..., Any] = tarred.extractfile
    for member in tarred:
        if member.isfile():
            yield member.name, partial(extract, member)
    stream.left = math.inf


class _Capped(io.BufferedReader):
    """A stream for tarfile, which reads headers whole, however long they say they are."""

    left: float = 256 << 20  # the headers of half a million files

    def read(self, size: int | None = -1) -> bytes:
        self.left -= size or 0
        if self.left < 0:
            raise tarfile.ReadError("its headers alone would fill the memory")
        return super().read(size)


def _open_member(name: str, opened: _Open) -> IO[bytes]:
    try:
        if not name.lower().endswith(COMPRESSED):
            return opened()
        why = "it is compressed in itself"
    except (OSError, zipfile.BadZipFile, tarfile.TarError):
        raise
    except Exception as error:  # encrypted, in a rare format, or with odd bytes in its header
        why = one_line(error)
    raise UserError(f"{name} cannot be read in place ({why}): extract the archive, give the folder")


def _is_hidden(name: str) -> bool:
    return name.startswith(".") or name == "__MACOSX"
