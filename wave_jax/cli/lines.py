"""Texts from a stream of bytes, a line each, in memory that does not grow with the stream."""

from __future__ import annotations

import codecs
from collections.abc import Iterator
from io import BufferedIOBase
from typing import Literal

from wave_jax.errors import UserError

_BLOCK = 1 << 20  # bytes asked for at once; a pipe or terminal gives what it has
_LONGEST = 1 << 24  # bytes kept of one line: far more than any network reads
MOST_LINES = 8192


def text_chunks(
    stream: BufferedIOBase, errors: Literal["strict", "replace"], name: str
) -> Iterator[list[str]]:
    """Yields the stream's lines in lists, as soon as they come and in order.

    Lines end with a newline; a carriage return before it and a byte order mark at the very start
    are dropped. Of a line beyond 16 MiB the rest is left out.

    Raises:
      UserError: `errors` is 'strict' and a line is not UTF-8; what came before was yielded.
    """
    number = 0
    for lines in _raw_chunks(stream):
        texts: list[str] = []
        for line in lines:
            number += 1
            try:
                texts.append(_decode(line, errors, first=number == 1))
            except UnicodeDecodeError as error:
                if texts:
                    yield texts
                raise UserError(
                    f"line {number} of {name} is not UTF-8 (byte 0x{line[error.start]:02x} at "
                    f"position {error.start + 1}); --errors replace puts U+FFFD in its place"
                ) from error
        yield texts


def _raw_chunks(stream: BufferedIOBase) -> Iterator[list[bytes]]:
    tail: list[bytes] = []  # pieces of a line whose end has not come yet
    size = 0
    while block := stream.read1(_BLOCK):
        *lines, rest = block.split(b"\n")
        if lines:
            lines[0] = b"".join([*tail, lines[0][: _LONGEST - size]])
            tail, size = [], 0
            for start in range(0, len(lines), MOST_LINES):
                yield lines[start : start + MOST_LINES]
        if rest and size < _LONGEST:
            tail.append(rest[: _LONGEST - size])
            size += len(tail[-1])
    if tail:
        yield [b"".join(tail)]


def _decode(line: bytes, errors: str, *, first: bool) -> str:
    if first and line.startswith(codecs.BOM_UTF8):
        line = line[len(codecs.BOM_UTF8) :]
    if len(line) == _LONGEST:  # cut, perhaps within a character: drop that character's beginning
        return codecs.getincrementaldecoder("utf-8")(errors).decode(line)
    return line.removesuffix(b"\r").decode("utf-8", errors)
