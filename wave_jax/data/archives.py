"""The files of a folder, or of a zip or tar archive, which is read in place."""

from __future__ import annotations

import io
import math
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
_MOST_BYTES = 256 << 20  # of a tar archive's headers: those of half a million files
_Open = Callable[[], IO[bytes]]


def holds_files(path: Path) -> bool:
    """Returns whether a path is a folder or, by its name, an archive."""
    return path.is_dir() or path.name.lower().endswith(_ARCHIVES)


@contextmanager
def open_files(
    place: Path, encoding: str | None = None, depth: int = 1
) -> Iterator[dict[str, Input]]:
    """Opens the regular files of a folder, or of an archive: nothing is extracted.

    They are named by their paths in it, with '/', and sorted; of a folder, so many levels are read.
    Hidden files are left out, as are the links of an archive, whose '..' are left out of the names.
    """
    with reading(str(place)), ExitStack() as stack:
        if place.is_dir():
            paths = {path.relative_to(place).as_posix(): path for path in _walk(place, depth)}
            yield {name: Input.file(paths[name], encoding, name) for name in sorted(paths)}
            return
        members = {}
        try:
            for name, opened in _members(place, stack):
                parts = name.replace("\\", "/").split("/")
                parts = [part for part in parts if part not in ("", ".", "..")]
                if parts and not any(map(_is_hidden, parts)):
                    members["/".join(parts)] = opened
        except (OSError, UserError):
            raise
        except Exception as error:  # bytes that the libraries do not expect in a header
            what = f"{place}: damaged or incomplete archive"
            raise UserError(f"{what} ({one_line(error)})") from error
        named = {name: printable(f"{place.name}/{name}") for name in sorted(members)}
        yield {
            name: Input(shown, partial(_open_member, shown, members[name]), place, encoding)
            for name, shown in named.items()
        }


def _walk(folder: Path, depth: int) -> Iterator[Path]:
    for path in folder.iterdir():
        if _is_hidden(path.name):
            continue
        if path.is_dir():
            yield from _walk(path, depth - 1) if depth > 1 else ()
        elif path.is_file():
            yield path


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

    left: float = _MOST_BYTES

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
