"""Files opened for reading, compressed or not, and the paths that users write."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import os
import tarfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import IO, Any, Literal

from wave_jax.errors import UserError, nearest_path, one_line, shorten

Errors = Literal["strict", "replace"]

LONGEST_LINE = 32 << 20  # characters
COMPRESSED = (".gz", ".bz2", ".xz")
# Under 'strict' a bad byte becomes a lone surrogate, which `files.encodable` reports with its row.
DECODE_ERRORS = {"strict": "surrogateescape", "replace": "replace"}
_OPENERS: dict[bytes, Callable[..., Any]] = {
    b"\x1f\x8b": gzip.open,
    b"BZh": bz2.open,
    b"\xfd7zXZ\x00": lzma.open,
}


@dataclass(frozen=True)
class Input:
    """Bytes that can be opened for reading, and what messages call them."""

    name: str
    open: Callable[[], IO[bytes]]

    @classmethod
    def file(cls, path: Path) -> Input:
        """A file on disk; gzip, bzip2 and xz are recognised by their first bytes."""
        return cls(path.name, partial(_open_file, path))

    def lines(self, errors: Errors, newline: str) -> Iterator[str]:
        """Yields the lines of UTF-8 text without a byte order mark; UserError at a gigantic one."""
        with reading(self.name), self.open() as stream:
            text = io.TextIOWrapper(stream, "utf-8-sig", DECODE_ERRORS[errors], newline=newline)
            read = iter(partial(text.readline, LONGEST_LINE + 1), "")
            for number, line in enumerate(read, 1):
                if len(line) > LONGEST_LINE:
                    raise UserError(
                        f"{self.name}, line {number} is longer than {LONGEST_LINE >> 20} million "
                        "characters; is this a file of texts, with one row per line?"
                    )
                yield line


@contextmanager
def open_files(place: Path) -> Iterator[dict[str, Input]]:
    """Opens the regular files of a folder, or of a tar archive in place: nothing is extracted.

    They are sorted by name; subfolders of a folder are left out, those of an archive ignored.
    """
    if place.is_dir():
        with reading(str(place)):
            yield {
                path.name: Input.file(path) for path in sorted(place.iterdir()) if path.is_file()
            }
        return
    with reading(place.name), tarfile.open(place, "r:*") as archive:
        members = {Path(member.name).name: member for member in archive if member.isfile()}
        extract: Callable[..., Any] = archive.extractfile
        yield {
            name: Input(f"{place.name}/{name}", partial(extract, member))
            for name, member in sorted(members.items())
        }


@contextmanager
def reading(name: str) -> Iterator[None]:
    """Turns what can go wrong while a file is read into a UserError that names the file."""
    try:
        yield
    except (gzip.BadGzipFile, zlib.error, lzma.LZMAError, tarfile.TarError, EOFError) as error:
        raise UserError(f"{name}: damaged or incomplete archive ({one_line(error)})") from error
    except OSError as error:
        raise UserError(f"{name} cannot be read: {error.strerror or error}") from error


def user_path(text: str) -> Path:
    """Returns the path that `text` names, with '~' expanded; UserError if no file can have it."""
    try:
        path = Path(text).expanduser()
        path.exists()  # may be too long, or hold a NUL
    except (OSError, RuntimeError, ValueError) as error:
        raise UserError(f"{shorten(text, 60)!r} cannot be a path: {error.args[-1]}") from None
    return path


def existing(path: Path) -> Path:
    """Returns `path`; UserError if nothing is there (naming a similar path), or an empty file."""
    with reading(str(path)):
        if not path.exists():
            raise UserError(f"no such file or folder: {path}{nearest_path(path)}")
        if path.is_file() and path.stat().st_size == 0:
            raise UserError(f"{path} is empty; it should hold labelled texts")
    return path


def plain_suffix(path: Path) -> str:
    """Returns the suffix in lower case, without that of a compression: '.csv' of 'a.CSV.gz'."""
    return Path(path.stem if path.suffix.lower() in COMPRESSED else path).suffix.lower()


def default_cache_dir() -> Path | None:
    """Returns wave_jax in the user's cache folder; None for a user without a home."""
    base = os.environ.get("XDG_CACHE_HOME", "")
    with suppress(RuntimeError):  # no home
        return (Path(base) if os.path.isabs(base) else Path.home() / ".cache") / "wave_jax"
    return None


def _open_file(path: Path) -> IO[bytes]:
    with path.open("rb") as stream:
        start = stream.read(6)
    if start.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise UserError(f"{path.name} is UTF-16 text; convert it to UTF-8")
    opener = next((opener for sign, opener in _OPENERS.items() if start.startswith(sign)), open)
    opened: IO[bytes] = opener(path, "rb")
    return opened
