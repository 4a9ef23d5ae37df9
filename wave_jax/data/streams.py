"""Files opened for reading, compressed or not, with failures told in one line."""

from __future__ import annotations

import bz2
import gzip
import io
import itertools
import lzma
import tarfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from wave_jax.data.rows import Errors
from wave_jax.errors import UserError, nearest_path, one_line

LONGEST_LINE = 32 << 20
COMPRESSED = (".gz", ".bz2", ".xz")
_UTF16 = (b"\xff\xfe", b"\xfe\xff")


@dataclass(frozen=True)
class Input:
    """Bytes that can be opened for reading, and what messages call them."""

    name: str
    open: Callable[[], IO[bytes]]

    @classmethod
    def file(cls, path: Path) -> Input:
        """A file on disk; gzip, bzip2 and xz are told by their first bytes, not by the name."""
        return cls(path.name, lambda: _decompressed(path))

    @classmethod
    def member(cls, archive: tarfile.TarFile, member: tarfile.TarInfo, name: str) -> Input:
        """A regular file in an archive, read where it is: nothing is extracted."""
        stream = archive.extractfile(member)
        assert stream is not None  # a regular file has one
        return cls(name, lambda: stream)

    @contextmanager
    def lines(self, errors: Errors, newline: str) -> Iterator[io.TextIOWrapper]:
        """Opens as UTF-8 text, a byte order mark dropped.

        Under 'strict' a bad byte comes out as a lone surrogate, for `rows.encodable` to find.
        """
        handler = "surrogateescape" if errors == "strict" else "replace"
        with reading(self.name), self.open() as stream:
            yield io.TextIOWrapper(stream, "utf-8-sig", handler, newline=newline)


def bounded_lines(stream: io.TextIOWrapper, origin: str) -> Iterator[str]:
    """Yields the lines of a file; no line, such as a header of a billion columns, fills the memory.

    Raises:
      UserError: a line is longer than `LONGEST_LINE`.
    """
    for number in itertools.count(1):
        line = stream.readline(LONGEST_LINE + 1)
        if not line:
            return
        if len(line) > LONGEST_LINE:
            raise UserError(
                f"{origin}, line {number} is longer than {LONGEST_LINE >> 20} million characters; "
                "is this a file of texts, with a row a line?"
            )
        yield line


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
    """Returns the path that `text` names, with '~' expanded.

    Raises:
      UserError: it can name no file on this system: too long, a NUL, or an unknown user's home.
    """
    try:
        path = Path(text).expanduser()
        path.exists()
    except (OSError, RuntimeError, ValueError) as error:
        short = text if len(text) <= 60 else f"{text[:57]}..."
        raise UserError(f"{short!r} cannot be a path: {error.args[-1]}") from None
    return path


def existing(path: Path) -> Path:
    """Returns `path`.

    Raises:
      UserError: nothing is there, or an empty file; the text gives a similar name, if any.
    """
    with reading(str(path)):
        if not path.exists():
            raise UserError(f"no such file or folder: {path}{nearest_path(path)}")
        if path.is_file() and path.stat().st_size == 0:
            raise UserError(f"{path} is empty; it should hold labelled texts")
    return path


def plain_suffix(path: Path) -> str:
    """Returns the last suffix in lower case, that of a compression left out.

    >>> plain_suffix(Path("reviews.CSV.gz"))
    '.csv'
    """
    name = Path(path.stem) if path.suffix.lower() in COMPRESSED else path
    return name.suffix.lower()


def _decompressed(path: Path) -> IO[bytes]:
    with path.open("rb") as stream:
        start = stream.read(6)
    if start.startswith(b"\x1f\x8b"):
        return gzip.open(path, "rb")  # type: ignore[return-value]
    if start.startswith(b"BZh"):
        return bz2.open(path, "rb")  # type: ignore[return-value]
    if start.startswith(b"\xfd7zXZ\x00"):
        return lzma.open(path, "rb")
    if start.startswith(_UTF16):
        raise UserError(f"{path.name} is UTF-16 text; convert it to UTF-8")
    return path.open("rb")
