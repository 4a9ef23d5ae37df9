"""Whatever a file holds, the reader answers with rows or with one clear line."""

import gzip
import io
import json
import tarfile
import tempfile
import warnings
import zipfile
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from wave_jax.data.config import DataConfig
from wave_jax.data.dataset import load_dataset, write_snapshot
from wave_jax.errors import UserError

SUFFIXES = (
    *(".csv", ".tsv", ".jsonl", ".json", ".parquet", ".txt", ".csv.gz", ".jsonl.bz2"),
    *(".tar.gz", ".tar", ".zip", ".xlsx", ".xyz"),
)
ENCODINGS = (None, "cp1252", "utf-16", "utf-16-le", "shift_jis", "gb18030", "utf-7", "utf-32")
DELIMITERS = (None, ";", "tab", "|", " ", "\x85")
FRAGMENTS = (
    *(b"text,label\n", b"text\tlabel\n", b'{"text": "', b'", "label": ', b"}\n", b"__label__"),
    *(b'"', b'""', b",", b"\t", b"\n", b"\r\n", b"\r", b" ", b"\0", b"\xef\xbb\xbf", b"\xff\xfe"),
    *(
        b"PAR1",
        b"\x1f\x8b",
        b"BZh9",
        b"[",
        b"]",
        b"null",
        b"NaN",
        b"1e999",
        b"\\ud800",
        b"\xed\xa0",
    ),
    *(b";", b"|", b"text;label\n", b"PK\3\4", b"PK\1\2", b"PK\5\6" + bytes(18), b"\0\xd8"),
    *(b"a", b"1", b"0.5", b"\xc3\xa9", b"\xe9", b"\xe2\x80\xa8", b"\x1c", b"\x85"),
)
ONLY_PLAIN = settings(
    deadline=None,
    database=None,
    max_examples=40,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


def zipped(files: dict[str, bytes], method: int) -> bytes:
    """Returns an archive of these files."""
    stream = io.BytesIO()
    with warnings.catch_warnings(action="ignore"), zipfile.ZipFile(stream, "w", method) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return stream.getvalue()


MEMBERS = st.one_of(
    st.sampled_from(
        ["train.csv", "x/train.csv", "pos/1.txt", "neg/1.txt", "../pos/2.txt", "/a.csv"]
    ),
    st.text(
        st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=12
    ),
)
ZIPPED = st.builds(
    zipped,
    st.dictionaries(MEMBERS, st.lists(st.sampled_from(FRAGMENTS), max_size=9).map(b"".join)),
    st.sampled_from(
        [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA]
    ),
)


def spoiled(good: bytes, draw) -> bytes:
    """Returns the bytes with a few changed, or their end cut off."""
    content = bytearray(good)
    for _ in range(draw(st.integers(0, 4))):
        content[draw(st.integers(0, len(content) - 1))] = draw(st.integers(0, 255))
    return bytes(content[: draw(st.integers(len(content) // 2, 4 * len(content)))])


def load(path: Path, **options):
    """Loads a dataset; a UserError must be one line."""
    try:
        dataset = load_dataset(DataConfig(source=str(path), **options))
    except UserError as error:
        message = str(error)
    else:
        for split in (dataset.train, dataset.validation, dataset.test):
            assert len(split.texts) == len(split.labels) > 0
            "".join(split.texts).encode()
        return dataset
    assert message
    assert "\n" not in message
    return None


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("errors", ["strict", "replace"])
def test_any_bytes(tmp_path, suffix, errors):
    @ONLY_PLAIN
    @given(st.lists(st.sampled_from(FRAGMENTS) | st.binary(max_size=6), max_size=40).map(b"".join))
    @example(b"")
    @example(b"\0" * 600)
    def check(content):
        path = tmp_path / f"any{suffix}"
        path.write_bytes(content)
        load(path, errors=errors)

    check()


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_any_bytes_in_any_encoding(tmp_path, encoding):
    lists = st.lists(st.sampled_from(FRAGMENTS) | st.binary(max_size=6), max_size=40)

    @ONLY_PLAIN
    @given(
        lists.map(b"".join),
        st.sampled_from(DELIMITERS),
        st.sampled_from(["any.csv", "any.tsv", "any.txt", "any.jsonl"]),
        st.sampled_from(["strict", "replace"]),
    )
    @example("text,label\na,b\n".encode("utf-32"), None, "any.csv", "strict")
    def check(content, delimiter, name, errors):
        path = tmp_path / name
        path.write_bytes(content)
        load(path, errors=errors, encoding=encoding, delimiter=delimiter)

    check()


def test_any_class_folders(tmp_path):
    names = st.sampled_from(["train", "test", "pos", "neg", "unsup", "a.txt", "b.txt", "c.csv"])
    paths = st.lists(names, min_size=1, max_size=4).map("/".join)

    @ONLY_PLAIN
    @given(st.dictionaries(paths, st.sampled_from(FRAGMENTS), max_size=8))
    def check(files):
        with tempfile.TemporaryDirectory(dir=tmp_path) as folder:
            for name, content in files.items():
                with suppress(OSError):  # a folder of that name, or a file above
                    path = Path(folder, name)
                    path.parent.mkdir(parents=True, exist_ok=True)
                    path.write_bytes(content)
            load(Path(folder))

    check()


def test_zip_archives_with_bytes_changed(tmp_path):
    @ONLY_PLAIN
    @given(ZIPPED, st.data())
    def check(good, data):
        path = tmp_path / "any.zip"
        path.write_bytes(spoiled(good, data.draw))
        load(path)
        assert [file.name for file in tmp_path.iterdir()] == ["any.zip"]

    check()


def test_any_bytes_in_a_folder(tmp_path):
    names = ("train.csv", "test.csv", "classes.txt", "labels.json")

    @ONLY_PLAIN
    @given(st.tuples(*[st.lists(st.sampled_from(FRAGMENTS), max_size=12).map(b"".join)] * 4))
    def check(contents):
        for name, content in zip(names, contents, strict=True):
            (tmp_path / name).write_bytes(b'"1","x"\n"2","y"\n' * 3 + content)
        load(tmp_path)

    check()


@given(
    st.lists(
        st.tuples(st.text(st.characters(exclude_categories=["Cs"]), max_size=20), st.booleans()),
        min_size=4,
        max_size=12,
    )
)
@ONLY_PLAIN
def test_any_text_survives_a_snapshot(tmp_path, rows):
    path = tmp_path / "a.jsonl"
    both = [*rows, *((f"{c} {i}", c) for i in range(8) for c in (True, False))]  # both, everywhere
    path.write_text("".join(json.dumps({"text": t, "label": c}) + "\n" for t, c in both))
    dataset = load(path)
    assert dataset is not None
    write_snapshot(dataset, tmp_path / "kept")
    again = load(tmp_path / "kept")
    if len(set(dataset.train.labels) | set(dataset.validation.labels)) > 1:
        assert again is not None
        assert again.fingerprint == dataset.fingerprint


def test_things_that_are_no_files(tmp_path):
    (tmp_path / "folder.csv").mkdir()
    assert load(tmp_path / "folder.csv") is None
    (tmp_path / "loop.csv").symlink_to(tmp_path / "loop.csv")
    assert load(tmp_path / "loop.csv") is None
    with tarfile.open(tmp_path / "empty.tar.gz", "w:gz"):
        pass
    assert load(tmp_path / "empty.tar.gz") is None
    (tmp_path / "twice.csv.gz").write_bytes(gzip.compress(gzip.compress(b"text,label\na,b\n")))
    assert load(tmp_path / "twice.csv.gz") is None
