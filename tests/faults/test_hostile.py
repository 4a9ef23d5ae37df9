"""Ten thousand inputs that mean harm or are mere rubbish: rows, labels or one line, never more."""

from __future__ import annotations

import gzip
import io
import json
import os
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.data.test_hostile import (
    DELIMITERS,
    ENCODINGS,
    FRAGMENTS,
    MEMBERS,
    SUFFIXES,
    ZIPPED,
    load,
    spoiled,
)  # fmt: skip
from tests.faults.runs import ROOT
from wave_jax.cli.texts import read_lines
from wave_jax.data.tokenizer import WordPiece
from wave_jax.errors import UserError
from wave_jax.runs.files import config_from_dict

INPUTS = int(os.environ.get("WAVE_JAX_INPUTS", "12000"))
SEED = int(os.environ.get("WAVE_JAX_SEED", "0"))
COUNT = {"inputs": 0, "new readers": 0}

# Surrogates, combining marks, right-to-left, zero-width, private use, noncharacters, the lot
ANYTHING = st.text(st.characters(), max_size=60)
NASTY = st.sampled_from(
    [
        "\ud800", "a\u0301\u0301\u0301", "\u202eabc", "\u200b\u200d\ufeff", "\0", "\U0010ffff",
        "\ufdd0", "=cmd|' /C calc'!A0", "<script>alert(1)</script>", "\x1b[31m", "\u2028", "'" * 9,
        "{" * 50, "-0", "1e999", "NaN", "\ud83d\ude00", "x" * 5000, "Ⅷ", "ﬀ", "\x85", "\x1c",
    ]
)  # fmt: skip
TEXT = st.one_of(ANYTHING, NASTY, st.lists(NASTY, max_size=4).map("".join))
VALUE = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), TEXT),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=6,
)


def one_line(error):
    """Fails where the message of a UserError is no line."""
    assert str(error).strip()
    assert "\n" not in str(error)


def share(part: float):
    """Settings for a share of the inputs; not the ones of every other run."""
    return settings(
        max_examples=max(10, int(INPUTS * part)),
        deadline=None,
        database=None,
        derandomize=SEED == 0,
        suppress_health_check=list(HealthCheck),
    )


@pytest.mark.faults
@pytest.mark.parametrize("suffix", SUFFIXES)
def test_any_bytes(tmp_path, suffix):
    lists = st.lists(st.sampled_from(FRAGMENTS) | st.binary(max_size=8), max_size=60)

    @share(0.04)
    @given(lists.map(b"".join), st.sampled_from(["strict", "replace"]))
    def check(content, errors):
        COUNT["inputs"] += 1
        path = tmp_path / f"any{suffix}"
        path.write_bytes(content)
        load(path, errors=errors)

    check()


@pytest.mark.faults
@pytest.mark.parametrize("suffix", [".csv", ".tsv"])
def test_ragged_rows_and_broken_quotes(tmp_path, suffix):
    cells = st.lists(st.lists(TEXT | st.sampled_from(['"', '""', 'a"b']), max_size=5), max_size=12)

    @share(0.08)
    @given(cells, st.booleans(), st.sampled_from(["strict", "replace"]))
    def check(rows, header, errors):
        COUNT["inputs"] += 1
        comma = "," if suffix == ".csv" else "\t"
        lines = [["text", "label"], *rows] if header else rows
        content = "\n".join(comma.join(row) for row in lines)
        path = tmp_path / f"rows{suffix}"
        path.write_bytes(content.encode("utf-8", "surrogatepass"))
        load(path, errors=errors)

    check()


@pytest.mark.faults
def test_any_json(tmp_path):
    rows = st.lists(
        st.one_of(
            VALUE, st.fixed_dictionaries({"text": VALUE, "label": VALUE}), st.just({"text": "a"})
        ),
        max_size=12,
    )

    @share(0.1)
    @given(rows, st.booleans(), st.booleans())
    def check(rows, array, ascii_only):
        COUNT["inputs"] += 1
        written = [json.dumps(row, ensure_ascii=ascii_only) for row in rows]
        content = f"[{','.join(written)}]" if array else "\n".join(written)
        path = tmp_path / "any.jsonl"
        path.write_bytes(content.encode("utf-8", "surrogatepass"))
        load(path)

    check()


@pytest.mark.faults
def test_parquet_of_any_types(tmp_path):
    kinds = st.sampled_from(
        [
            pa.string(), pa.large_string(), pa.binary(), pa.int8(), pa.uint64(), pa.float64(),
            pa.bool_(), pa.date32(), pa.timestamp("us"), pa.list_(pa.string()), pa.null(),
            pa.decimal128(10, 2), pa.dictionary(pa.int8(), pa.string()),
            pa.struct([("a", pa.int8())]),
        ]
    )  # fmt: skip

    @share(0.08)
    @given(kinds, kinds, st.integers(0, 30), st.randoms(use_true_random=False))
    def check(one, two, count, draw):
        COUNT["inputs"] += 1
        path = tmp_path / "any.parquet"
        columns = {"text": column(one, count, draw), "label": column(two, count, draw)}
        pq.write_table(pa.table(columns), path)
        load(path)

    check()


def column(kind, count, draw):
    """A column of some values of a type, and nulls."""
    found = {
        "list": ["a"], "struct": {"a": 1}, "bool": True, "double": float("nan"), "binary": b"\xff",
    }  # fmt: skip
    name = str(kind).split("<")[0].split("[")[0]
    if pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_dictionary(kind):
        values = [draw.choice(["a", "b", "", "\u202e", None]) for _ in range(count)]
    elif name in found:
        values = [draw.choice([found[name], None]) for _ in range(count)]
    else:
        return pa.nulls(count, kind)
    return pa.array(values, kind)


@pytest.mark.faults
def test_any_archive(tmp_path):
    names = st.one_of(
        st.sampled_from(["train.csv", "x/train.csv", "../train.csv", "/tmp/../etc/train.csv"]),
        st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=12),
    )
    member = st.tuples(names, st.binary(max_size=40), st.sampled_from([b"0", b"2", b"5", b"3"]))

    @share(0.04)
    @given(st.lists(member, max_size=5))
    def check(members):
        COUNT["inputs"] += 1
        path = tmp_path / "box" / "any.tar.gz"
        path.parent.mkdir(exist_ok=True)
        with tarfile.open(path, "w:gz") as archive:
            for name, content, kind in members:
                info = tarfile.TarInfo(name.replace("\0", "0"))
                info.type, info.linkname = kind, "/etc/passwd"
                info.size = len(content) if kind == b"0" else 0
                archive.addfile(info, io.BytesIO(content) if kind == b"0" else None)
        load(path)
        assert sorted(each.name for each in tmp_path.rglob("*")) == ["any.tar.gz", "box"]

    check()


@pytest.mark.faults
@pytest.mark.parametrize("encoding", ENCODINGS)
def test_any_bytes_in_any_encoding(tmp_path, encoding):
    lists = st.lists(st.sampled_from(FRAGMENTS) | st.binary(max_size=8), max_size=60)

    @share(0.04)
    @given(
        st.one_of(
            lists.map(b"".join),
            TEXT.map(lambda text: text.encode(encoding or "utf-8", "replace")),
        ),
        st.sampled_from(DELIMITERS),
        st.sampled_from(["any.csv", "any.tsv", "any.txt", "any.jsonl"]),
        st.sampled_from(["strict", "replace"]),
    )
    def check(content, delimiter, name, errors):
        COUNT["inputs"] += 1
        COUNT["new readers"] += 1
        path = tmp_path / name
        path.write_bytes(content)
        load(path, errors=errors, encoding=encoding, delimiter=delimiter)

    check()


@pytest.mark.faults
def test_any_class_folders(tmp_path):
    names = st.sampled_from(["train", "test", "val", "pos", "neg", "unsup", "p\nq", "\udcff", "é"])
    files = st.sampled_from(
        ["a.txt", "b.txt", "c.TXT", "train.csv", "d.csv", "labels.json", ".txt"]
    )
    paths = st.tuples(st.lists(names, max_size=3), files).map(lambda p: "/".join([*p[0], p[1]]))
    contents = st.lists(st.sampled_from(FRAGMENTS), max_size=9).map(b"".join)

    @share(0.16)
    @given(
        st.dictionaries(paths, contents, max_size=8),
        st.sampled_from(["strict", "replace"]),
        st.sampled_from(ENCODINGS),
    )
    def check(files, errors, encoding):
        COUNT["inputs"] += 1
        COUNT["new readers"] += 1
        with tempfile.TemporaryDirectory(dir=tmp_path) as folder:
            for name, content in files.items():
                path = Path(folder, name)
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(content)
            load(Path(folder), errors=errors, encoding=encoding)

    check()


@pytest.mark.faults
def test_zip_archives_with_bytes_changed(tmp_path):
    @share(0.3)
    @given(ZIPPED, st.sampled_from(ENCODINGS), st.data())
    def check(good, encoding, data):
        COUNT["inputs"] += 1
        COUNT["new readers"] += 1
        path = tmp_path / "box" / "any.zip"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(spoiled(good, data.draw))
        load(path, encoding=encoding)
        assert sorted(each.name for each in tmp_path.rglob("*")) == ["any.zip", "box"]

    check()


@pytest.mark.faults
def test_tar_archives_with_bytes_changed(tmp_path):
    members = st.dictionaries(MEMBERS.map(lambda n: n.replace("\0", "0")), st.binary(max_size=99))

    @share(0.2)
    @given(members, st.data())
    def check(files, data):
        COUNT["inputs"] += 1
        COUNT["new readers"] += 1
        stream = io.BytesIO()
        kind = data.draw(st.sampled_from([tarfile.PAX_FORMAT, tarfile.GNU_FORMAT]))
        with tarfile.open(fileobj=stream, mode="w", format=kind) as archive:
            for name, content in files.items():
                info = tarfile.TarInfo(name * data.draw(st.sampled_from([1, 1, 30])))
                info.size = len(content)
                archive.addfile(info, io.BytesIO(content))
        path = tmp_path / "any.tar"
        path.write_bytes(spoiled(stream.getvalue(), data.draw))
        load(path)
        assert [each.name for each in tmp_path.rglob("*")] == ["any.tar"]

    check()


@pytest.mark.faults
def test_that_the_new_readers_had_their_share():
    """Comes after them: so many of the inputs were theirs."""
    print(f"\n{COUNT['new readers']:,} inputs tried on the newer readers")
    assert COUNT["new readers"] >= 5 / 6 * INPUTS


@pytest.mark.faults
def test_any_config():
    @share(0.06)
    @given(VALUE | st.dictionaries(st.sampled_from(["model", "train", "seed", "data"]), VALUE))
    def check(values):
        COUNT["inputs"] += 1
        try:
            config_from_dict(values)
        except UserError as error:
            one_line(error)

    check()


@pytest.mark.faults
def test_a_tokenizer_file_that_is_none(tmp_path):
    good = WordPiece.train(["a few words of text"], vocab_size=60).to_json()
    path = tmp_path / "tokenizer.json"

    @share(0.04)
    @given(
        st.one_of(
            VALUE.map(json.dumps).map(str.encode),
            st.binary(max_size=50),
            st.tuples(st.integers(0, len(good) - 1), st.integers(0, 255)).map(
                lambda at: good.encode()[: at[0]] + bytes([at[1]]) + good.encode()[at[0] + 1 :]
            ),
        )
    )
    def check(content):
        COUNT["inputs"] += 1
        path.write_bytes(content)
        try:
            WordPiece.from_file(path).encode(["some text"], 8)
        except UserError as error:
            one_line(error)

    check()


@pytest.mark.faults
def test_any_lines_for_predict(trained_classifier):
    lists = st.lists(st.binary(max_size=30) | TEXT.map(lambda t: t.encode("utf-8", "replace")))

    @share(0.1)
    @given(lists, st.sampled_from(["strict", "replace"]))
    def check(lines, errors):
        COUNT["inputs"] += 1
        stream = io.BufferedReader(io.BytesIO(b"\n".join(lines)))
        try:
            found = list(trained_classifier.predict_stream(read_lines(stream, errors, "input")))
        except UserError as error:
            one_line(error)
            return
        for prediction in (one for chunk in found for one in chunk):
            assert abs(sum(prediction.probabilities.values()) - 1) < 1e-4

    check()


@pytest.mark.faults
def test_any_string_for_predict(trained_classifier):
    @share(0.14)
    @given(st.lists(TEXT, min_size=1, max_size=5))
    def check(texts):
        COUNT["inputs"] += 1
        for prediction in trained_classifier.predict(texts):
            assert np.isfinite(list(prediction.probabilities.values())).all()

    check()


@pytest.fixture(scope="module")
def trained_classifier(place):
    """A network that has hardly learned: what it says does not matter here."""
    import wave_jax
    from tests.faults.runs import finish

    workdir = place.folder / "hardly"
    (done,) = finish([place.start(workdir, "--train.epochs", "1")])
    assert done[0] == 0, done[2]
    return wave_jax.load(workdir)


@pytest.mark.faults
def test_that_so_many_were_tried():
    """Comes last: the tests above count what they try."""
    print(f"\n{COUNT['inputs']:,} inputs tried")
    assert COUNT["inputs"] >= 5 / 6 * INPUTS


GIGANTIC = {
    "a billion columns.csv.gz": (b"," * (1 << 20), 954, b""),
    "a billion letters.jsonl.gz": (b'{"text": "' + b"a" * (1 << 20), 954, b""),
    "never closed.csv.gz": (b'text,label\n"' + b"a\n" * (1 << 19), 200, b""),
    "nested.jsonl": (b"[" * 100_000, 1, b""),
    "one field.csv": (b"text,label\n" + b"a" * (1 << 20), 40, b",x\n"),
}
READ = """
import resource, sys
resource.setrlimit(resource.RLIMIT_AS, (2 << 30, 2 << 30))
from wave_jax.data.config import DataConfig
from wave_jax.data.dataset import load_dataset
from wave_jax.errors import UserError
try:
    load_dataset(DataConfig(source=sys.argv[1]))
except UserError as error:
    print("refused:", error)
"""


@pytest.mark.faults
@pytest.mark.parametrize("name", GIGANTIC)
def test_gigantic_files_fit_in_memory(tmp_path, name):
    """Two gigabytes of address space are enough, libraries included."""
    start, times, end = GIGANTIC[name]
    path = tmp_path / name
    write = gzip.open if name.endswith(".gz") else open
    with write(path, "wb") as file:
        file.write(start)
        for _ in range(times - 1):
            file.write(start[-(1 << 20) :])
        file.write(end)

    done = subprocess.run(
        [sys.executable, "-c", READ, str(path)],
        cwd=ROOT, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.startswith("refused: "), done.stdout
    assert done.stdout.count("\n") == 1


def test_a_link_out_of_an_archive_is_not_followed(tmp_path):
    secret = tmp_path / "secret.csv"
    secret.write_text("text,label\nsecret one,a\nsecret two,b\n")
    path = tmp_path / "linked.tar.gz"
    with tarfile.open(path, "w:gz") as archive:
        for kind in (tarfile.SYMTYPE, tarfile.LNKTYPE):
            info = tarfile.TarInfo("train.csv")
            info.type, info.linkname = kind, str(secret)
            archive.addfile(info)
    assert load(Path(path)) is None
