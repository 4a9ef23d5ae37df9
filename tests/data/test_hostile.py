"""Whatever a file holds, the reader answers with rows or with one clear line."""

import gzip
import json
import tarfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from wave_jax.data.config import DataConfig
from wave_jax.data.dataset import load_dataset, write_snapshot
from wave_jax.errors import UserError

SUFFIXES = (
    *(".csv", ".tsv", ".jsonl", ".json", ".parquet", ".txt", ".csv.gz", ".jsonl.bz2"),
    *(".tar.gz", ".tar", ".xyz"),
)
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
    *(b"a", b"1", b"0.5", b"\xc3\xa9", b"\xe9", b"\xe2\x80\xa8", b"\x1c", b"\x85"),
)
ONLY_PLAIN = settings(
    deadline=None,
    database=None,
    max_examples=40,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


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
