"""Zip and tar archives, read in place as the folders that they were made of."""

import gzip
import io
import subprocess
import sys
import tarfile
import zipfile

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from wave_jax.data.files import read_file, read_source
from wave_jax.data.table import ColumnSpec
from wave_jax.errors import UserError

TABLE = "text,label\ngood,pos\nbad,neg\n"
PARQUET = io.BytesIO()
pq.write_table(pa.table({"text": ["good", "bad"], "label": ["pos", "neg"]}), PARQUET)
ARCHIVES = ("a.zip", "a.tar", "a.tar.gz", "a.tgz", "A.ZIP")


def pack(path, files):
    """Writes an archive of the kind that its name says."""
    contents = {n: c if isinstance(c, bytes) else c.encode() for n, c in files.items()}
    if path.suffix.lower() == ".zip":
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, content in contents.items():
                archive.writestr(name, content)
        return path
    with tarfile.open(path, "w:gz" if path.suffix in (".gz", ".tgz") else "w") as archive:
        for name, content in contents.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return path


@pytest.mark.parametrize("name", ARCHIVES)
@pytest.mark.parametrize(
    "files",
    [
        {"archive/IMDB Dataset.csv": TABLE, "__MACOSX/archive/._IMDB Dataset.csv": b"\0\5"},
        {"train.csv": TABLE, "test.csv": TABLE},
        {"x/y/train.csv": TABLE, "x/readme.txt": "read me"},
        {"data/train-00000-of-00001.parquet": PARQUET.getvalue(), "README.md": "x"},
        {"train.jsonl": '{"text": "good", "label": "pos"}\n{"text": "bad", "label": "neg"}\n'},
        {"pos/1.txt": "good", "neg/1.txt": "bad"},
        {"deep/er/aclImdb/train/pos/1.txt": "good", "deep/er/aclImdb/train/neg/1.txt": "bad"},
        {"C:\\data\\pos\\1.txt": "good", "C:\\data\\neg\\1.txt": "bad"},
        {"../../pos/1.txt": "good", "/neg/1.txt": "bad"},
    ],
)
def test_an_archive_is_read_as_its_folder(tmp_path, name, files):
    path = pack(tmp_path / name, files)
    tables, _ = read_source(path, ColumnSpec())
    rows = sorted(zip(tables["train"].texts, tables["train"].labels, strict=True))
    assert rows == [("bad", "neg"), ("good", "pos")]
    assert [file.name for file in tmp_path.rglob("*")] == [name], "nothing is extracted"


def test_encodings_and_tests_in_archives(tmp_path):
    path = pack(tmp_path / "a.zip", {"a.csv": "text;label\ncaf\xe9;b\n".encode("cp1252")})
    assert read_file(path, ColumnSpec(encoding="cp1252")).texts == ["caf\xe9"]
    path = pack(tmp_path / "a.zip", {"a.csv": "text;label\ncaf\xe9;b\n".encode("utf-16")})
    assert read_file(path, ColumnSpec()).texts == ["caf\xe9"]


def damaged(path, kind):
    """A zip archive that is wrong in one way."""
    data = bytearray(pack(path, {"train.csv": TABLE * 50}).read_bytes())
    local, central = data.index(b"PK\3\4"), data.index(b"PK\1\2")
    if kind == "encrypted":
        data[local + 6] |= 1
        data[central + 8] |= 1
    elif kind == "method":
        data[local + 8 : local + 10] = data[central + 10 : central + 12] = b"\x63\0"
    elif kind == "content":
        data[local + 45] ^= 255
    elif kind == "checksum":
        data[central + 16] ^= 255
        data[local + 14] ^= 255
    elif kind == "cut":
        del data[len(data) // 2 :]
    path.write_bytes(bytes(data))
    return path


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("encrypted", r"a\.zip/train\.csv cannot be read in place \(.*encrypted.*extract the arch"),
        ("method", r"a\.zip/train\.csv cannot be read in place \(.*compression"),
        ("content", "damaged"),
        ("checksum", r"train\.csv: damaged .*CRC"),
        ("cut", r"a\.zip: damaged"),
    ],
)
def test_damaged_and_encrypted_archives(tmp_path, kind, message):
    with pytest.raises(UserError, match=message):
        read_source(damaged(tmp_path / "a.zip", kind), ColumnSpec())


@pytest.mark.parametrize("name", ["a.zip", "a.tar"])
def test_what_is_compressed_in_an_archive(tmp_path, name):
    path = pack(tmp_path / name, {"train.csv.gz": gzip.compress(TABLE.encode())})
    with pytest.raises(
        UserError, match=r"train\.csv\.gz cannot be read in place \(it is compressed"
    ):
        read_source(path, ColumnSpec())


def test_names_are_shown_on_one_line(tmp_path):
    path = pack(tmp_path / "a.zip", {"po\ns/1.txt": b"\xff", "neg/1.txt": "a"})
    with pytest.raises(UserError) as raised:
        read_source(path, ColumnSpec())
    assert "\n" not in str(raised.value)


def _bomb(path):
    """Writes what would take gigabytes, in a few megabytes at most."""
    kind, million = path.name.split(".")[0], 1 << 20
    if kind == "rows":
        return pack(path, {"train.csv": b"text,label\n" + b"a,b\n" * 2 * million})
    if kind == "texts":
        texts = {f"{'ab'[i % 2]}/{i}.txt": b"a b " * 4 * million for i in range(20)}
        return pack(path, texts)
    with gzip.open(path, "wb", 1) as file:
        if kind == "lines":
            file.write(b"[")
            for _ in range(16):
                file.write(b"[],\n" * million)
        elif kind == "array":
            for _ in range(16):
                file.write(b"[" + b"[]," * 3 * million + b"\n")
        elif kind == "headers":
            block = tarfile.TarInfo("x/train.csv").tobuf() * 2048
            for _ in range(300):
                file.write(block)
        else:  # one header that is said to have three gigabytes
            header = tarfile.TarInfo("x")
            header.type, header.size = tarfile.XHDTYPE, 3 << 30
            file.write(header.tobuf() + b"0" * million)
    return path


READ = """
import resource, sys
resource.setrlimit(resource.RLIMIT_AS, (3 << 30, 3 << 30))
from pathlib import Path
from wave_jax.data.files import read_source
from wave_jax.data.table import ColumnSpec
from wave_jax.errors import UserError
for name in sys.argv[1:]:
    try:
        read_source(Path(name), ColumnSpec())
    except UserError as error:
        print("refused:", error)
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("rows.zip", "over 256 MB"),
        ("texts.zip", "over 256 MB"),
        ("lines.json.gz", "over 256 MB"),
        ("array.json.gz", "over 256 MB"),
        ("headers.tar.gz", "headers alone"),
        ("pax.tar.gz", "headers alone"),
    ],
)
def test_no_archive_fills_the_memory(tmp_path, name, why):
    path = _bomb(tmp_path / name)
    assert path.stat().st_size < 8 << 20
    done = subprocess.run(
        [sys.executable, "-c", READ, str(path)], capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr[-1000:]
    assert done.stdout.startswith("refused: ")
    assert why in done.stdout
    assert [file.name for file in tmp_path.rglob("*")] == [name]
