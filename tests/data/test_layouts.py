"""Which files of a folder are read, and what they give."""

import json

import pytest

from wave_jax.data.config import DataConfig
from wave_jax.data.dataset import load_dataset, load_split
from wave_jax.data.files import read_file, read_source
from wave_jax.data.layouts import find_layout
from wave_jax.data.table import ColumnSpec
from wave_jax.errors import UserError

TABLE = "text,label\ngood,pos\nbad,neg\n"


def tree(folder, files):
    """Writes files by their paths."""
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return folder


def class_folders(prefix="", classes=("neg", "pos")):
    return {f"{prefix}{c}/{i}.txt": f"{prefix}{c} {i}\n" for c in classes for i in (10, 2, 1)}


def test_a_folder_for_each_class(tmp_path):
    """Files come by name; the line breaks within stay, those around do not."""
    files = class_folders() | {"pos/2.txt": "\r\n one\r\ntwo \r\n", "pos/3.txt": "", "README": "x"}
    tables, description = read_source(tree(tmp_path / "a", files), ColumnSpec())
    assert list(tables) == ["train"]
    texts = ["neg 1", "neg 10", "neg 2", "pos 1", "pos 10", "one\ntwo", ""]
    assert tables["train"].texts == texts
    assert tables["train"].labels == ["neg"] * 3 + ["pos"] * 4
    assert description.endswith("a: train 7; each file a text, its folder the class")


def test_the_layout_of_imdb(tmp_path):
    files = class_folders("train/") | class_folders("test/")
    files |= {f"train/unsup/{i}.txt": "no label" for i in range(4)}
    files |= {"README": "x", "imdbEr.txt": "x", "train/urls_pos.txt": "http", "imdb.vocab": "the"}
    tables, description = read_source(tree(tmp_path / "aclImdb", files), ColumnSpec())
    assert [len(table) for table in tables.values()] == [6, 6]
    assert set(tables["train"].labels) == set(tables["test"].labels) == {"pos", "neg"}
    assert tables["test"].texts[0] == "test/neg 1"
    last = "others not read: 5, such as 'train/unsup/2.txt'"
    assert description.endswith(f"train 6, test 6; each file a text, its folder the class; {last}")
    above, _ = read_source(tmp_path, ColumnSpec())
    assert above["train"].texts == tables["train"].texts, "one folder up gives the same"
    dataset = load_dataset(DataConfig(source=str(tmp_path / "aclImdb")))
    assert dataset.label_names == ("neg", "pos")
    whole = load_split(DataConfig(source=str(tmp_path / "aclImdb/test")), "test", ("neg", "pos"),
                       trained_on=DataConfig(source=str(tmp_path / "aclImdb")))  # fmt: skip
    assert len(whole) == 6


@pytest.mark.parametrize("name", ["val", "valid", "validation", "dev", "Validation"])
def test_names_of_the_validation_split(name):
    names = ["train/a/1.txt", "train/b/1.txt", f"{name}/a/1.txt"]
    assert find_layout("x", names).splits["validation"] == [f"{name}/a/1.txt"]
    names = ["train.csv", f"{name}.csv"]
    assert find_layout("x", names).splits["validation"] == [f"{name}.csv"]


def test_classes_may_have_the_names_of_splits(tmp_path):
    files = class_folders(classes=("boat", "test", "train"))
    assert set(read_source(tree(tmp_path, files), ColumnSpec())[0]["train"].labels) == {
        "boat", "test", "train",
    }  # fmt: skip


def test_a_clone_of_a_data_set(tmp_path):
    files = {
        "README.md": "---\nlicense: mit\n---\n",
        ".gitattributes": "x",
        "dataset_infos.json": "{}",
        "imdb.py": "raise SystemExit('executed')",
        "data/train-00001-of-00002-0123abc.csv": TABLE.replace("good", "second"),
        "data/train-00000-of-00002-b42a775f407cee45.csv": TABLE,
        "data/test-00000-of-00001-b42a775f407cee45.csv": TABLE,
    }
    tables, description = read_source(tree(tmp_path / "a", files), ColumnSpec())
    assert tables["train"].texts == ["good", "bad", "second", "bad"]
    assert len(tables["test"]) == 2
    assert "'data/train-00000-of-00002-b42a775f407cee45.csv'" in description
    assert "not read" not in description


def test_configurations_of_a_data_set(tmp_path):
    one = {"plain_text/train-00000-of-00001.csv": TABLE, "plain_text/classes.txt": "x"}
    tree(tmp_path, one)
    assert read_source(tmp_path, ColumnSpec())[0]["train"].texts == ["good", "bad"]
    tree(tmp_path, {"other/train-00000-of-00001.csv": TABLE})
    with pytest.raises(
        UserError, match=r"several data sets, in 'other', 'plain_text': give the folder"
    ):
        read_source(tmp_path, ColumnSpec())


@pytest.mark.parametrize("name", ["reviews.csv", "IMDB Dataset.csv", "News_Dataset_v3.json"])
def test_the_only_table_whatever_its_name(tmp_path, name):
    content = TABLE if name.endswith("csv") else '{"text": "good", "label": "pos"}\n'
    tables, description = read_source(tree(tmp_path, {name: content, "notes.md": ""}), ColumnSpec())
    assert tables["train"].texts[0] == "good"
    assert description.endswith(f"from '{name}'")


def test_the_choice_among_layouts_is_said(tmp_path):
    """Files named for splits before class folders, these before a table of another name."""
    mixed = tree(tmp_path / "a", class_folders() | {"train.csv": TABLE})
    tables, description = read_source(mixed, ColumnSpec())
    assert tables["train"].texts == ["good", "bad"]
    assert description.endswith("; others not read: 6, such as 'pos/1.txt'")
    mixed = tree(tmp_path / "b", class_folders() | {"meta.csv": TABLE, "pos/deep/er/x.txt": "x"})
    tables, description = read_source(mixed, ColumnSpec())
    assert len(tables["train"]) == 6
    assert description.endswith("; others not read: 2, such as 'pos/deep/er/x.txt'")


def test_a_part_of_the_shards_is_refused():
    with pytest.raises(UserError, match="^x holds 1 of 3 files of train: run 'git lfs pull', or"):
        find_layout("x", ["data/train-00001-of-00003.parquet"])
    names = ["train-00000-of-00001-0123abc.csv", *(f"test-0000{i}-of-00003.csv" for i in range(3))]
    assert len(find_layout("x", names).splits["test"]) == 3
    with pytest.raises(UserError, match="2 of 3 files of test"):
        find_layout("x", names[:-1])
    with pytest.raises(UserError, match="several files for one split, leave one: "):
        find_layout("x", [*names, "train.csv"])


def test_what_else_is_in_a_folder_of_texts_is_counted(tmp_path):
    files = class_folders() | {f"pos/{i}.md": "x" for i in range(20, 23)} | {"README.md": "x"}
    tables, description = read_source(tree(tmp_path, files), ColumnSpec())
    assert len(tables["train"]) == 6
    assert description.endswith("; others not read: 3, such as 'pos/21.md'")


def test_texts_without_a_suffix(tmp_path):
    """As the files of 20 Newsgroups."""
    files = {f"{c}/{i}": f"{c} {i}\n" for c in ("alt.atheism", "sci.med") for i in (1, 2)}
    tables, _ = read_source(tree(tmp_path, files | {"README.md": "x"}), ColumnSpec())
    assert tables["train"].texts == ["alt.atheism 1", "alt.atheism 2", "sci.med 1", "sci.med 2"]
    with pytest.raises(UserError, match="no folders of .txt files"):
        find_layout("x", [*files, "sci.med/LICENSE.md"])


@pytest.mark.parametrize("other", ["config.json", "meta/readme.json"])
def test_json_beside_the_only_table_is_none(other):
    layout = find_layout("x", ["data.csv", other])
    assert layout.splits == {"train": ["data.csv"]}
    assert layout.note == f"; from 'data.csv'; others not read: 1, such as {other!r}"


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({}, "no train.csv .* it holds no files"),
        ({"pos/1.txt": "a"}, "no folders of .txt files for classes; it holds 'pos/1.txt'"),
        ({"unsup/1.txt": "a", "pos/1.txt": "a"}, "no folders of .txt files"),
        (
            {"a.csv": TABLE, "b.csv": TABLE},
            "it holds 'a.csv', 'b.csv': name one train.csv, or give one file$",
        ),
        ({"train.csv": TABLE, "train.tsv": TABLE}, "several files for one split"),
        (
            {"data/train.csv": TABLE, "more/train.csv": TABLE},
            "several data sets, in 'data', 'more'",
        ),
        ({"p/1.txt": b"fine", "q/1.txt": b"caf\xe9"}, r"q/1\.txt: not valid UTF-8 \(byte 0xE9\)"),
        ({"p/1.txt": b"fine", "q/1.txt": "x".encode("utf-16-le")}, r"q/1\.txt holds a byte 0"),
    ],
)
def test_folders_that_cannot_be_read(tmp_path, files, message):
    with pytest.raises(UserError, match=message):
        read_source(tree(tmp_path, files), ColumnSpec())


def test_class_folders_have_no_groups_but_encodings(tmp_path):
    tree(tmp_path, {"p/1.txt": "caf\xe9".encode("cp1252"), "q/1.txt": "x".encode("utf-16")})
    assert read_file(tmp_path, ColumnSpec(encoding="cp1252")).texts == ["caf\xe9", "x"]
    assert read_file(tmp_path, ColumnSpec(errors="replace")).texts == ["caf\ufffd", "x"]
    with pytest.raises(UserError, match="is a text, which has no column 'film'"):
        read_file(tmp_path, ColumnSpec(group="film"))


def test_a_gigantic_text(tmp_path):
    tree(tmp_path, {"p/1.txt": "a word\n" * (5 << 20), "q/1.txt": "x"})
    with pytest.raises(UserError, match=r"p/1\.txt takes over 32 MB"):
        read_file(tmp_path, ColumnSpec())


def test_the_encoding_reaches_the_names_of_classes(tmp_path):
    files = {"train.csv": b'"1","a"\n"2","b\xe9"\n', "classes.txt": b"caf\xe9\nth\xe9\n"}
    tables, _ = read_source(tree(tmp_path, files), ColumnSpec(encoding="latin-1"))
    assert tables["train"].classes == ("caf\xe9", "th\xe9")
    with pytest.raises(UserError, match=r"classes.txt, row 1: not valid UTF-8"):
        read_source(tree(tmp_path, {"train.csv": '"1","a"\n'}), ColumnSpec())


def test_a_test_folder_of_its_own(tmp_path):
    source = tree(tmp_path / "a", {"all.csv": "text,label\n" + "".join(
        f"row {i},{'pos' if i % 2 else 'neg'}\n" for i in range(20))}) / "all.csv"  # fmt: skip
    tree(tmp_path / "t", class_folders())
    dataset = load_dataset(DataConfig(source=str(source), test=str(tmp_path / "t")))
    assert (len(dataset.train), len(dataset.test)) == (16, 6)
    tree(tmp_path / "b", {"train.csv": TABLE, "dev.csv": TABLE})
    with pytest.raises(UserError, match="has no test split, only 'train', 'validation'"):
        load_dataset(DataConfig(source=str(source), test=str(tmp_path / "b")))


def test_the_options_reach_the_training_and_are_part_of_its_cut(tmp_path):
    lines = ["text;label", *(f"caf\xe9 {i};{'pos' if i % 2 else 'neg'}" for i in range(20))]
    path = tree(tmp_path, {"a.csv": "\n".join(lines).encode("cp1252")}) / "a.csv"
    config = DataConfig(source=str(path), encoding="cp1252", delimiter=";")
    dataset = load_dataset(config)
    assert dataset.train.texts[0].startswith("caf\xe9")
    assert json.dumps(dataset.description)
    with pytest.raises(UserError, match="leave out --data.encoding"):
        load_split(DataConfig(source=str(path), encoding="latin-1", delimiter=";"), "test",
                   dataset.label_names, trained_on=config)  # fmt: skip
    other = tree(tmp_path, {"b.csv": TABLE.replace("good", "a;b")}) / "b.csv"
    config = DataConfig(source=str(path), delimiter=";")
    given = DataConfig(source=str(other), delimiter=";")
    split = load_split(given, "test", dataset.label_names, trained_on=config)
    assert split.texts == ["a;b", "bad"], "the separator of the training is a guess"
