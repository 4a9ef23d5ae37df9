"""Folders and archives with a file for each split; the texts and labels of rows."""

import io
import tarfile

import pytest

from wave_jax.data.files import clean_rows, encodable, read_file, read_source
from wave_jax.data.table import Columns, ColumnSpec
from wave_jax.errors import UserError

WHERE = "mail.csv, row 7 (line 9)"
TRAIN = '"2","A title","And a text"\n"1","","Only\\n\\nText and \\next ""quoted"""\n'
TEST = '"2","","Third"\n'
CLASSES = "World\r\nSports\r\n"


def fill(folder, **files):
    folder.mkdir(exist_ok=True)
    for name, content in files.items():
        (folder / name.replace("_", ".")).write_text(content, encoding="utf-8", newline="")
    return folder


def pack(path, files, mode="w:gz"):
    with tarfile.open(path, mode) as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content.encode())
            archive.addfile(member, io.BytesIO(content.encode()))
    return path


def test_the_layout_of_zhang_et_al(tmp_path):
    folder = fill(tmp_path / "news_csv", train_csv=TRAIN, test_csv=TEST, classes_txt=CLASSES)
    tables, description = read_source(folder, ColumnSpec())
    # Its line breaks are a backslash and an n; a bare backslash before a word is left alone.
    assert tables["train"].texts == [
        "A title And a text",
        'Only\n\nText and \\next "quoted"',
    ]
    assert tables["train"].labels == ["Sports", "World"]
    assert (tables["test"].texts, tables["test"].labels) == (["Third"], ["Sports"])
    assert tables["train"].classes == ("World", "Sports")
    assert "validation" not in tables
    columns = "text from column 2 + column 3, label from column 1"
    assert description.split(": ")[1] == f"train 2, test 1; {columns}"


def test_without_class_names_the_numbers_stay(tmp_path):
    folder = fill(tmp_path / "a", train_csv=TRAIN)
    tables, _ = read_source(folder, ColumnSpec())
    assert tables["train"].labels == ["2", "1"]
    assert tables["train"].classes is None


def test_a_class_beyond_the_names_names_the_row(tmp_path):
    folder = fill(tmp_path / "a", train_csv=TRAIN + '"3","","x"\n', classes_txt=CLASSES)
    with pytest.raises(UserError, match=r"train\.csv, row 3: class 3.*1 to 2"):
        read_source(folder, ColumnSpec())
    folder = fill(tmp_path / "a", train_csv='"0","","x"\n')
    with pytest.raises(UserError, match=r"row 1: class 0"):
        read_source(folder, ColumnSpec())


def test_named_columns_keep_the_class_names(tmp_path):
    folder = fill(tmp_path / "a", train_csv=TRAIN, classes_txt=CLASSES)
    wanted = ColumnSpec(text=("body",), names=("label", "title", "body"))
    tables, _ = read_source(folder, wanted)
    assert tables["train"].labels == ["Sports", "World"]
    assert tables["train"].texts[0] == "And a text"


def test_a_folder_of_files_with_header(tmp_path):
    folder = fill(
        tmp_path / "a",
        train_csv="label,text\npos,a\nneg,b\n",
        validation_jsonl='{"text": "c", "label": "neg"}\n',
        test_tsv="text\tlabel\nd\tpos\n",
        labels_json='["pos", "neg"]',
    )
    tables, _ = read_source(folder, ColumnSpec())
    assert [
        tables["train"].texts,
        tables["validation"].texts,
        tables["test"].texts,
    ] == [
        ["a", "b"],
        ["c"],
        ["d"],
    ]
    assert tables["train"].classes == ("pos", "neg")


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"trian_csv": TRAIN, "b_csv": TRAIN}, r"has no train\.csv.*trian\.csv"),
        ({"train_csv": TRAIN, "train_tsv": TRAIN}, "several files for one split"),
        ({"train_csv": "a,b\nc,d\n"}, r"'a', 'b'.*--data\.columns"),
        ({"train_csv": TRAIN, "classes_txt": "a\na\n"}, r"classes\.txt names a class twice"),
        ({"train_csv": "label,text\na,b\n", "labels_json": "{"}, r"labels\.json: not valid JSON"),
        (
            {"train_csv": "label,text\na,b\n", "labels_json": "[1]"},
            "expected a list of class names",
        ),
        (
            {"train_csv": "label,text\na,b\n", "labels_json": '["a", "\\ud800"]'},
            r"labels\.json: not valid UTF-8",
        ),
    ],
)
def test_bad_folders(tmp_path, files, message):
    with pytest.raises(UserError, match=message):
        read_source(fill(tmp_path / "a", **files), ColumnSpec())


def test_a_single_file_of_the_layout_needs_its_class_names(tmp_path):
    folder = fill(tmp_path / "a", test_csv=TEST)
    with pytest.raises(UserError, match=r"--data\.columns"):
        read_file(folder / "test.csv", ColumnSpec())
    fill(folder, classes_txt=CLASSES)
    assert read_file(folder / "test.csv", ColumnSpec()).labels == ["Sports"]


@pytest.mark.parametrize(
    ("name", "mode"), [("a.tar.gz", "w:gz"), ("a.tgz", "w:gz"), ("a.tar", "w")]
)
def test_an_archive_is_read_in_place(tmp_path, name, mode):
    files = {
        "news_csv/readme.txt": "read me",
        "news_csv/test.csv": TEST,
        "news_csv/train.csv": TRAIN,
        "news_csv/classes.txt": CLASSES,
    }
    tables, _ = read_source(pack(tmp_path / name, files, mode), ColumnSpec())
    assert tables["train"].labels == ["Sports", "World"]
    assert tables["test"].texts == ["Third"]
    assert [entry.name for entry in tmp_path.iterdir()] == [name]


def test_an_archive_cannot_reach_outside(tmp_path):
    """Members that would escape on extraction, links among them, are bytes or nothing."""
    (tmp_path / "secret.csv").write_text('"1","","secret"\n')
    path = tmp_path / "inner" / "evil.tar.gz"
    path.parent.mkdir()
    with tarfile.open(path, "w:gz") as archive:
        link = tarfile.TarInfo("test.csv")
        link.type, link.linkname = tarfile.SYMTYPE, "../secret.csv"
        archive.addfile(link)
        member = tarfile.TarInfo("../../train.csv")
        member.size = len(TRAIN.encode())
        archive.addfile(member, io.BytesIO(TRAIN.encode()))
    tables, _ = read_source(path, ColumnSpec())
    assert "test" not in tables
    assert sorted(entry.name for entry in tmp_path.rglob("*")) == [
        "evil.tar.gz",
        "inner",
        "secret.csv",
    ]


def test_bad_archives(tmp_path):
    with pytest.raises(UserError, match=r"has no train\.csv"):
        read_source(pack(tmp_path / "a.tar.gz", {"x/readme.txt": "x"}), ColumnSpec())
    whole = pack(tmp_path / "a.tar.gz", {"train.csv": TRAIN * 5000}).read_bytes()
    (tmp_path / "a.tar.gz").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(UserError, match=r"a\.tar\.gz.*damaged"):
        read_source(tmp_path / "a.tar.gz", ColumnSpec())
    (tmp_path / "b.tar.gz").write_text("not an archive")
    with pytest.raises(UserError, match="damaged"):
        read_source(tmp_path / "b.tar.gz", ColumnSpec())


def test_columns_asked_for_are_not_passed_over(tmp_path):
    folder = fill(tmp_path / "a", train_csv=TRAIN, classes_txt=CLASSES)
    with pytest.raises(UserError, match=r"no column for the label.*--data\.columns"):
        read_source(folder, ColumnSpec(text=("title",)))
    names = ColumnSpec(text=("text",), names=("label", "title", "text"))
    tables, _ = read_source(
        pack(tmp_path / "a.tgz", {"train.csv": TRAIN, "classes.txt": CLASSES}), names
    )
    assert tables["train"].texts[0] == "And a text"
    assert tables["train"].labels == ["Sports", "World"]


def test_shards_of_a_part_are_joined_in_order(tmp_path):
    folder = fill(tmp_path / "a")
    for i in (1, 0):
        name = folder / f"train-0000{i}-of-00002.jsonl"
        name.write_text(f'{{"text": "t{i}", "label": "c{i}"}}\n')
    tables, _ = read_source(folder, ColumnSpec())
    assert (tables["train"].texts, tables["train"].labels) == (
        ["t0", "t1"],
        ["c0", "c1"],
    )


def test_empty_columns_leave_no_space():
    rows = [(WHERE, ["title", " ", "", "body"], "x", None), (WHERE, ["", ""], "y", None)]
    found = clean_rows(Columns(), rows, ColumnSpec())
    assert list(found) == [("title body", "x", None), ("", "y", None)]


@pytest.mark.parametrize(
    ("value", "name"),
    [(3, "3"), (-1, "-1"), (2.0, "2"), (True, "true"), (False, "false"), (" pos\n", "pos")],
)
def test_labels_become_names(value, name):
    found = clean_rows(Columns(), [(WHERE, [""], value, None)], ColumnSpec())
    assert list(found) == [("", name, None)]


@pytest.mark.parametrize("value", [None, float("nan"), float("inf"), 0.5, "", "  ", [1], {"a": 1}])
def test_unusable_labels_name_the_row(value):
    with pytest.raises(UserError, match=r"mail\.csv, row 7 \(line 9\): the label"):
        list(clean_rows(Columns(), [(WHERE, [""], value, None)], ColumnSpec()))


def test_bad_bytes_stop_or_are_replaced():
    text = b"caf\xe9".decode("utf-8", "surrogateescape")
    with pytest.raises(UserError, match=r"row 7 .*not valid UTF-8 \(byte 0xE9\).*errors replace"):
        encodable(text, "strict", WHERE)
    assert encodable(text, "replace", WHERE) == "caf\ufffd"
    with pytest.raises(UserError, match=r"surrogate U\+D800"):
        encodable("\ud800", "strict", WHERE)
    assert encodable("größe \N{PILE OF POO}", "strict", WHERE) == "größe \N{PILE OF POO}"
