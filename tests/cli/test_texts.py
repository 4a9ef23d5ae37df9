"""Lines from streams and rows of tables: order, ends, encodings, memory that stays flat."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import pickle
import tracemalloc
from pathlib import Path

import pytest

from wave_jax.cli.texts import TextOptions, open_with_ids, read_lines
from wave_jax.data.config import ColumnsConfig, DataConfig
from wave_jax.data.streams import Errors
from wave_jax.errors import UserError


class _Slow(io.BufferedIOBase):
    """Gives at most `size` bytes at a time, as a pipe may."""

    def __init__(self, data: bytes, size: int) -> None:
        self._data, self._size = io.BytesIO(data), size

    def read1(self, size: int = -1, /) -> bytes:
        return self._data.read(self._size)


def _read(data: bytes, errors: str = "strict", size: int = 3) -> list[str]:
    chunks = read_lines(_Slow(data, size), errors, "the input")  # type: ignore[arg-type]
    return [text for chunk in chunks for text in chunk]


@pytest.mark.parametrize("size", [1, 2, 3, 7, 1000])
@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"", []),
        (b"\n", [""]),
        (b"one\ntwo\n", ["one", "two"]),
        (b"one\n\ntwo", ["one", "", "two"]),
        (b"\xef\xbb\xbfone\r\ntwo\r\n", ["one", "two"]),
        ("zwölf\n水\u2028x\n".encode(), ["zwölf", "水\u2028x"]),
        (b"nul\x00nul\n", ["nul\x00nul"]),
    ],
)
def test_lines(data: bytes, expected: list[str], size: int) -> None:
    assert _read(data, size=size) == expected


def test_invalid_bytes_are_named_or_replaced() -> None:
    data = b"good\nb\xffd\nmore\n"
    assert _read(data, "replace") == ["good", "b\ufffdd", "more"]
    chunks = read_lines(_Slow(data, 1000), "strict", "the input")
    assert next(chunks) == ["good"], "what came before is not lost"
    with pytest.raises(UserError, match=r"line 2 of the input .*0xff at position 2.*replace"):
        next(chunks)


@pytest.mark.parametrize("codec", ["utf-16", "utf-16-le", "cp1252"])
@pytest.mark.parametrize("size", [2, 3, 1000])
def test_other_encodings(codec: str, size: int) -> None:
    last = "zwölf" if codec == "cp1252" else "\u010a\u0a00"  # which have bytes of a line break
    stream = _Slow(f"größer\r\n\n{last}\n".encode(codec), size)
    given = None if codec == "utf-16" else codec  # the first has a mark
    chunks = read_lines(stream, "strict", "x", given)  # type: ignore[arg-type]
    assert [text for chunk in chunks for text in chunk] == ["größer", "", last]


def test_a_mark_tells_more_than_the_option() -> None:
    for codec in ("utf-8-sig", "utf-16"):
        chunks = read_lines(_Slow("größer".encode(codec), 99), "strict", "x", "cp1252")  # type: ignore[arg-type]
        assert list(chunks) == [["größer"]]


def test_bytes_that_are_not_of_the_encoding() -> None:
    data = "good\n".encode("utf-16") + b"\x00\xdc\n\x00"
    with pytest.raises(UserError, match=r"the input is not utf-16 .*--errors replace"):
        _read(data, size=1000)
    assert _read(data, "replace", size=1000) == ["good", "\ufffd"]


PNG = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR"


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (PNG, "a picture"),
        (b"PK\x03\x04\x14\0\0", "a zip archive or a spreadsheet"),
        (gzip.compress(b"text", mtime=0), "compressed"),
        (bz2.compress(b"text"), "compressed"),
        (lzma.compress(b"text"), "compressed"),
        (b"%PDF-1.7\n", "a PDF"),
        (pickle.dumps(["text"]), "a Python pickle"),
        ("text".encode("utf-16-le"), "UTF-16 text .*utf-16-le"),
        ("text".encode("utf-16-be"), "UTF-16 text .*utf-16-be"),
        (b"text\n\1\2\0", r"no text \(byte 8 is NUL\)"),
    ],
)
@pytest.mark.parametrize("errors", ["strict", "replace"])
def test_a_file_that_is_no_text_is_refused(
    tmp_path: Path, data: bytes, said: str, errors: Errors
) -> None:
    (tmp_path / "file.txt").write_bytes(data)
    options = TextOptions("runs/a", input=str(tmp_path / "file.txt"), errors=errors)
    with (
        open_with_ids(options, DataConfig()) as chunks,
        pytest.raises(UserError, match=f"file.txt is {said}.*: expected lines of UTF-8"),
    ):
        next(chunks)


def test_a_picture_as_standard_input_is_refused() -> None:
    with pytest.raises(UserError, match="the input is a picture"):
        _read(PNG, "replace", size=1000)


def test_many_lines_in_the_same_memory() -> None:
    line = b"a short line of words\n"

    class Endless(io.BufferedIOBase):
        left = 200

        def read1(self, size: int = -1, /) -> bytes:
            self.left -= 1
            return line * 3000 if self.left > 0 else b""

    tracemalloc.start()
    total = sum(len(chunk) for chunk in read_lines(Endless(), "strict", "x"))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert total == 199 * 3000
    assert peak < 4e6, "13 MB went through; a chunk and its strings are well below 4 MB"


def test_the_columns_found_by_name_are_reported(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "new.csv").write_text("label,text,title\nx,tide,sea\n")
    options = TextOptions("runs/a", input=str(tmp_path / "new.csv"))
    with open_with_ids(options, DataConfig()) as chunks:
        assert list(chunks) == [[("sea tide", None)]]
    assert "text from title + text" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["new.csv", "new.txt", "new.csv.gz"])
@pytest.mark.parametrize("encoding", ["utf-8", "cp1252"])
def test_the_encoding_of_the_training_is_a_guess(tmp_path: Path, name: str, encoding: str) -> None:
    data = "text\ncafé très bon\n".encode(encoding)
    (tmp_path / name).write_bytes(gzip.compress(data) if name.endswith("gz") else data)
    options = TextOptions("runs/a", input=str(tmp_path / name))
    with open_with_ids(options, DataConfig(encoding="cp1252")) as chunks:
        assert [text for chunk in chunks for text, _ in chunk][-1] == "café très bon"


@pytest.mark.parametrize("name", ["new.csv", "new.txt"])
def test_a_given_encoding_is_none_for_utf_8(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("text\ncafé\n", encoding="utf-8")
    given = ColumnsConfig(encoding="cp1252")
    options = TextOptions("runs/a", input=str(tmp_path / name), data=given)
    with (
        open_with_ids(options, DataConfig()) as chunks,
        pytest.raises(UserError, match=f"{name} is UTF-8, not cp1252: give --data.encoding utf-8"),
    ):
        next(chunks)


def test_the_separator_of_the_training_is_a_guess(tmp_path: Path) -> None:
    (tmp_path / "new.csv").write_text("text,label\na;b,c\n")
    options = TextOptions("runs/a", input=str(tmp_path / "new.csv"))
    with open_with_ids(options, DataConfig(delimiter=";", text_columns=("text",))) as chunks:
        assert list(chunks) == [[("a;b", None)]]
