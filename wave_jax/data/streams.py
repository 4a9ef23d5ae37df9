"""Files opened for reading, compressed or not, and the paths that users write."""

from __future__ import annotations

import bz2
import codecs
import gzip
import io
import lzma
import os
import re
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePath
from typing import IO, Any, Literal, TypeVar

from wave_jax.errors import UserError, nearest, nearest_path, one_line, shorten

Errors = Literal["strict", "replace"]
T = TypeVar("T")

LONGEST_LINE = 32 << 20  # characters
COMPRESSED = (".gz", ".bz2", ".xz")
# Bytes of memory for a byte on disk, and what any file may take: more is made to fill the memory.
_GROWTH, _SMALL = 400, 256 << 20
# Under 'strict' a bad byte becomes a lone surrogate, which `files.encodable` reports with its row.
DECODE_ERRORS = {"strict": "wave_jax.surrogates", "replace": "replace"}
_OPENERS: dict[bytes, Callable[..., Any]] = {
    b"\x1f\x8b": gzip.open,
    b"BZh": bz2.open,
    b"\xfd7zXZ\x00": lzma.open,
}
_MARKS = {codecs.BOM_UTF8: "utf-8-sig"}
_MARKS |= dict.fromkeys((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE), "utf-16")
START = 1 << 16  # bytes to judge an encoding by
_SIGNS = {  # of files that hold no text, though 'replace' would make some
    rb"\x89PNG|\xff\xd8\xff|GIF8": "a picture",
    rb"PK\x03\x04|\xd0\xcf\x11\xe0": "a zip archive or a spreadsheet (save that as csv)",
    rb"\x1f\x8b|BZh\d1AY&SY|\xfd7zXZ|\x28\xb5\x2f\xfd": "compressed",
    rb"%PDF-": "a PDF",
    rb"\x80[\x02-\x05]": "a Python pickle",
    rb"([^\0]\0){4}|(\0[^\0]){4}": "UTF-16 text (--data.encoding utf-16-le, or utf-16-be)",
}
_ENCODINGS = ("cp1250", "cp1251", "cp1252", "gb18030", "latin-1", "shift_jis", "utf-8", "utf-16")
codecs.register_error(  # as 'surrogateescape', which takes no byte below 128
    DECODE_ERRORS["strict"],
    lambda e: ("".join(chr(0xDC00 + byte) for byte in e.object[e.start : e.end]), e.end),  # type: ignore[attr-defined]
)


@dataclass(frozen=True)
class Input:
    """Bytes that can be opened for reading, and what messages call them."""

    name: str
    open: Callable[[], IO[bytes]]
    place: Path  # the file on disk that holds them
    encoding: str | None = None  # of text without a byte order mark; None is UTF-8

    @classmethod
    def file(cls, path: Path, encoding: str | None = None, name: str | None = None) -> Input:
        """A file on disk; gzip, bzip2 and xz are recognised by their first bytes."""
        return cls(printable(name or path.name), partial(open_file, path), path, encoding)

    def lines(self, errors: Errors, newline: str | None) -> Iterator[str]:
        """Yields the lines of text without a byte order mark; UserError at a gigantic one."""
        with reading(self.name), self.open() as stream:
            codec = text_codec(stream.read(START), self.name, self.encoding)
            stream.seek(0)
            text = io.TextIOWrapper(stream, codec, DECODE_ERRORS[errors], newline=newline)
            read = iter(partial(text.readline, LONGEST_LINE + 1), "")
            lines = bounded(read, lambda line: 60 + 4 * len(line), capacity([self]), self.name)
            for number, line in enumerate(lines, 1):
                if len(line) > LONGEST_LINE:
                    what = f"line {number} is longer than {LONGEST_LINE >> 20} million characters"
                    raise UserError(f"{self.name}, {what}; are these texts, one row per line?")
                yield line


def text_codec(start: bytes, name: str, given: str | None, nul: bool = True) -> str:
    """Returns the encoding of text that begins so: that of its mark, or else `given`, or UTF-8.

    UserError where it is not the given one but UTF-8, or no text: it begins as a picture, an
    archive or the like, or has a NUL, unless `nul` allows it.
    """
    codec = next((c for mark, c in _MARKS.items() if start.startswith(mark)), given or "utf-8")
    if is_utf8(start, codec):
        raise UserError(f"{name} is UTF-8, not {codec}: give --data.encoding utf-8")
    at = 0 if nul else start[:8192].find(0) + 1
    signs = (what for sign, what in _SIGNS.items() if re.match(sign, start, re.DOTALL))
    found = next(signs, f"no text (byte {at} is NUL)" if at else None)
    if found and "a".encode(codec) == b"a":
        expected = "expected lines of UTF-8, or a .csv, .tsv, .jsonl or .parquet file"
        raise UserError(f"{name} is {found}: {expected}")
    return codec


def is_utf8(start: bytes, codec: str) -> bool:
    """Returns whether text that begins so is UTF-8 by more than chance, and `codec` another."""
    if codecs.lookup(codec).name.startswith("utf-8") or 0 in start:
        return False
    least = 2 if len(bytes(range(128, 256)).decode(codec, "replace")) == 128 else 16
    ascii_too = "a".encode(codec) == b"a"  # else, as in UTF-16, every byte tells
    with suppress(UnicodeDecodeError):
        codecs.getincrementaldecoder("utf-8")().decode(start)
        return (sum(byte > 127 for byte in start) if ascii_too else len(start)) >= least
    return False


def capacity(inputs: Iterable[Input]) -> int:
    """Returns how many bytes of memory inputs may take together, by the size of their files."""
    places = {each.place for each in inputs}
    return max(_SMALL, _GROWTH * sum(place.stat().st_size for place in places))


def bounded(items: Iterable[T], size: Callable[[T], int], most: int, name: str) -> Iterator[T]:
    """Yields the items; UserError once their sizes add up to more than `most` bytes."""
    total = 0
    for item in items:
        total += size(item)
        if total > most:
            what = f"{name} takes over {most >> 20} MB of memory, too much for what it is"
            raise UserError(f"{what}: if that is right, decompress it, or make a csv file of it")
        yield item


@contextmanager
def reading(name: str) -> Iterator[None]:
    """Turns what can go wrong while a file is read into a UserError that names the file."""
    damaged = (gzip.BadGzipFile, zlib.error, lzma.LZMAError, tarfile.TarError, zipfile.BadZipFile)
    try:
        yield
    except (*damaged, EOFError) as error:
        raise UserError(f"{name}: damaged or incomplete archive ({one_line(error)})") from error
    except OSError as error:
        raise UserError(f"{name} cannot be read: {error.strerror or error}") from error
    except UnicodeError as error:  # codecs that leave no bad byte to a handler
        raise UserError(f"{name} cannot be decoded: {one_line(error)}") from error


def check_encoding(name: str | None) -> None:
    """Raises UserError, with a similar name, unless Python knows this encoding of text."""
    try:
        "a".encode("utf-8" if name is None else name)
    except (LookupError, ValueError):
        what = f"--data.encoding {name!r} is no encoding{nearest(str(name).lower(), _ENCODINGS)}"
        raise UserError(f"{what}; expected one such as cp1252, latin-1 or utf-16") from None


def printable(name: str) -> str:
    """Returns a file's name as messages show it: on one line."""
    return name if name.isprintable() else ascii(name)


def open_file(path: Path) -> IO[bytes]:
    """Opens a file for reading, decompressed by its first bytes."""
    with path.open("rb") as stream:
        start = stream.read(6)
    opener = next((opener for sign, opener in _OPENERS.items() if start.startswith(sign)), open)
    opened: IO[bytes] = opener(path, "rb")
    return opened


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
            here = "" if path.is_absolute() else f" in {Path.cwd()}"
            raise UserError(f"no such file or folder: {path}{here}{nearest_path(path)}")
        if path.is_file() and path.stat().st_size == 0:
            raise UserError(f"{path} is empty; it should hold labelled texts")
    return path


def plain_suffix(path: PurePath) -> str:
    """Returns the suffix in lower case, without that of a compression: '.csv' of 'a.CSV.gz'."""
    return PurePath(path.stem if path.suffix.lower() in COMPRESSED else path).suffix.lower()


def default_cache_dir() -> Path | None:
    """Returns wave_jax in the user's cache folder; None for a user without a home."""
    base = os.environ.get("XDG_CACHE_HOME", "")
    with suppress(RuntimeError):  # no home
        return (Path(base) if os.path.isabs(base) else Path.home() / ".cache") / "wave_jax"
    return None
