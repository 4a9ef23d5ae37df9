"""TensorFlow Datasets without TensorFlow, on tiny data sets prepared as array_record files."""

import io
import sys
import tarfile

import numpy as np
import pytest

tfds = pytest.importorskip("tensorflow_datasets")

from wave_jax.data.config import DataConfig  # noqa: E402
from wave_jax.data.dataset import load_dataset  # noqa: E402
from wave_jax.errors import UserError  # noqa: E402

TEXT, LABEL = tfds.features.Text(), tfds.features.ClassLabel


def prepare(folder, name, features, splits, file_format="array_record"):
    """Prepares a data set `name` in `folder`, its builder forgotten afterwards."""

    def info(self):
        return tfds.core.DatasetInfo(builder=self, features=tfds.features.FeaturesDict(features))

    def generate(self, rows):
        yield from enumerate(rows)

    def split(self, dl_manager):
        return {name: self._generate_examples(rows) for name, rows in splits.items()}

    body = {
        "VERSION": tfds.core.Version("1.0.0"),
        "name": name,
        "_info": info,
        "_generate_examples": generate,
        "_split_generators": split,
        "__module__": __name__,
    }
    with tfds.core.registered.skip_registration():
        kind = type(name.title().replace("_", ""), (tfds.core.GeneratorBasedBuilder,), body)
    builder = kind(data_dir=str(folder), file_format=file_format)
    builder.download_and_prepare(
        download_config=tfds.download.DownloadConfig(try_download_gcs=False)
    )


def reviews(count, labels=(0, 1)):
    return [{"text": f"review {i}", "label": labels[i % len(labels)]} for i in range(count)]


def load(folder, name, **options):
    return load_dataset(DataConfig(source=f"tfds:{name}", tfds_dir=str(folder), **options))


def sizes(dataset):
    return [len(dataset.train), len(dataset.validation), len(dataset.test)]


def test_title_and_description_are_joined(tmp_path):
    features = {"title": TEXT, "description": TEXT, "label": LABEL(names=["World", "Sports"])}
    rows = [{"title": f"t{i}", "description": "größe", "label": i % 2} for i in range(20)]
    prepare(tmp_path, "tiny_news", features, {"train": rows, "test": rows[:5]})
    dataset = load(tmp_path, "tiny_news")
    assert sizes(dataset) == [16, 4, 5]
    assert dataset.label_names == ("World", "Sports")
    found = dict(zip(dataset.train.texts, dataset.train.labels.tolist(), strict=True))
    assert all(text == f"t{text[1:].split()[0]} größe" for text in found)
    assert all(label == int(text[1:].split()[0]) % 2 for text, label in found.items())
    assert "title + description" in dataset.description
    only = load(tmp_path, "tiny_news", text_columns=("title",))
    assert all(" " not in text for text in only.train.texts)
    assert "tensorflow" not in sys.modules


def test_withheld_test_labels_make_validation_the_test(tmp_path):
    features = {"sentence": TEXT, "label": LABEL(names=["negative", "positive"])}

    def rows(count, tag, labels=(0, 1)):
        return [{"sentence": f"{tag} {i}", "label": labels[i % len(labels)]} for i in range(count)]

    splits = {"train": rows(30, "a"), "validation": rows(6, "b"), "test": rows(4, "c", (-1,))}
    prepare(tmp_path, "tiny_sst", features, splits)
    dataset = load(tmp_path, "tiny_sst")
    assert sizes(dataset) == [24, 6, 6]
    assert {text.split()[0] for text in dataset.test.texts} == {"b"}
    assert {text.split()[0] for text in dataset.validation.texts} == {"a"}


def test_rows_without_a_label_are_left_out_if_asked_to(tmp_path):
    splits = {"train": reviews(20, (0, 1, -1)), "test": reviews(5)}
    prepare(tmp_path, "tiny_gaps", {"text": TEXT, "label": LABEL(names=["neg", "pos"])}, splits)
    with pytest.raises(UserError, match="--data.on-unlabelled skip"):
        load(tmp_path, "tiny_gaps")
    dataset = load(tmp_path, "tiny_gaps", on_unlabelled="skip")
    assert sum(sizes(dataset)) == 14 + 5, "every third of 20 has none"
    assert "6 rows without a label left out" in dataset.description


def test_unsupervised_rows_are_ignored_and_validation_is_used(tmp_path):
    features = {"text": TEXT, "label": LABEL(names=["neg", "pos"])}
    splits = {
        "train": reviews(20),
        "validation": reviews(7),
        "test": reviews(5),
        "unsupervised": reviews(9, (-1,)),
    }
    prepare(tmp_path, "tiny_imdb", features, splits)
    assert sizes(load(tmp_path, "tiny_imdb")) == [20, 7, 5]


def test_whole_numbers_and_strings_as_labels(tmp_path):
    rows = [{"text": f"r{i}", "label": i % 3} for i in range(20)]
    prepare(
        tmp_path,
        "tiny_ints",
        {"text": TEXT, "label": tfds.features.Scalar(np.int64)},
        {"train": rows},
    )
    assert load(tmp_path, "tiny_ints").label_names == ("0", "1", "2")
    rows = [{"text": f"r{i}", "label": "ab"[i % 2]} for i in range(20)]
    prepare(tmp_path, "tiny_words", {"text": TEXT, "label": TEXT}, {"train": rows})
    assert load(tmp_path, "tiny_words").label_names == ("a", "b")


def test_bytes_that_are_not_utf8_name_the_row(tmp_path):
    rows = [{"text": b"caf\xe9 %d" % i, "label": i % 2} for i in range(4)]
    prepare(tmp_path, "tiny_latin", {"text": TEXT, "label": LABEL(num_classes=2)}, {"train": rows})
    with pytest.raises(UserError, match="tfds:tiny_latin, train, row 1: not valid UTF-8"):
        load(tmp_path, "tiny_latin")
    assert load(tmp_path, "tiny_latin", errors="replace").train.texts[0][:4] == "caf\ufffd"


def test_another_file_format_is_told(tmp_path):
    features = {"text": TEXT, "label": LABEL(num_classes=2)}
    prepare(tmp_path, "tiny_records", features, {"train": reviews(4)})
    info = tmp_path / "tiny_records" / "1.0.0" / "dataset_info.json"
    info.write_text(info.read_text().replace('"array_record"', '"tfrecord"'))
    with pytest.raises(UserError, match=r"as tfrecord.*array_record in another folder"):
        load(tmp_path, "tiny_records")


def test_features_that_do_not_fit(tmp_path):
    rows = [{"picture": "x", "label": 0}]
    features = {"picture": TEXT, "label": LABEL(num_classes=2)}
    prepare(tmp_path, "tiny_pictures", features, {"train": rows})
    with pytest.raises(UserError, match="no column for the text.*'picture'"):
        load(tmp_path, "tiny_pictures")
    prepare(
        tmp_path,
        "tiny_test",
        {"text": TEXT, "label": TEXT},
        {"test": [{"text": "a", "label": "b"}]},
    )
    with pytest.raises(UserError, match=r"no training split, only \['test'\]"):
        load(tmp_path, "tiny_test")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("imdb_review", "did you mean 'imdb_reviews'"),
        ("sst2", "did you mean 'glue/sst2'"),
        ("dbpedia", "did you mean 'dbpedia14'"),
        ("glue/sst3", "no configuration 'sst3', did you mean 'sst2'"),
        ("imdb_reviews:9.9.9", r"cannot be loaded at version 9\.9\.9, only: 1\.0\.0"),
        ("mnist", "no column for the text"),
        ("../secret", "is not the name of a TFDS data set"),
        ("", "is not the name of a TFDS data set"),
    ],
)
def test_unknown_names(tmp_path, name, message):
    with pytest.raises(UserError, match=message):
        load(tmp_path, name)


@pytest.mark.parametrize(
    "name", ["ag_news_subset", "imdb_reviews", "glue/sst2", "yelp_polarity_reviews"]
)
def test_without_network_local_files_are_pointed_at(tmp_path, monkeypatch, capsys, name):
    """Every task's builder is found without TensorFlow, and gets as far as its download."""

    def unreachable(self, *args, **kwargs):
        print("to be kept out of standard output")
        raise OSError("no route\nto host")

    monkeypatch.setattr(tfds.core.DatasetBuilder, "download_and_prepare", unreachable)
    with pytest.raises(UserError, match=r"no route to host.*--data\.source PATH") as caught:
        load(tmp_path, name)
    assert "\n" not in str(caught.value)
    assert capsys.readouterr().out == ""


DBPEDIA = "".join(f'"{i % 14 + 1}","Name {i}"," A ""thing"" , {i} ."\n' for i in range(42))


def dbpedia_folder(folder):
    folder.mkdir(parents=True)
    (folder / "train.csv").write_text(DBPEDIA)
    (folder / "test.csv").write_text('"14","","A book."\n"1","","A firm."\n')
    return folder


def dbpedia_archive(path):
    path.parent.mkdir(parents=True)
    with tarfile.open(path, "w:gz") as archive:
        for name, text in (("train", DBPEDIA), ("test", '"14","","A book."\n')):
            member = tarfile.TarInfo(f"dbpedia_csv/{name}.csv")
            member.size = len(text)
            archive.addfile(member, io.BytesIO(text.encode()))


def test_dbpedia14_from_its_folder_and_then_from_what_was_prepared(tmp_path):
    manual = dbpedia_folder(tmp_path / "downloads" / "manual" / "dbpedia_csv")
    dataset = load(tmp_path, "dbpedia14")
    assert sizes(dataset) == [34, 8, 2]
    assert dataset.label_names[0] == "Company"
    assert len(dataset.label_names) == 14
    numbers = [int(text.split()[1]) for text in dataset.train.texts]
    assert dataset.train.labels.tolist() == [i % 14 for i in numbers]
    assert dataset.train.texts[0] == f'Name {numbers[0]} A "thing" , {numbers[0]} .'
    assert sorted(dataset.test.texts) == ["A book.", "A firm."]
    for file in manual.iterdir():
        file.unlink()
    assert load(tmp_path, "dbpedia14").fingerprint == dataset.fingerprint


def test_dbpedia14_from_its_archive(tmp_path):
    dbpedia_archive(tmp_path / "mine" / "dbpedia_csv.tar.gz")
    dataset = load(tmp_path / "tfds", "dbpedia14", tfds_manual_dir=str(tmp_path / "mine"))
    assert sizes(dataset) == [34, 8, 1]
    assert not (tmp_path / "mine" / "dbpedia_csv").exists()


def test_dbpedia14_says_where_its_archive_goes(tmp_path):
    with pytest.raises(UserError, match=r"dbpedia_csv\.tar\.gz"):
        load(tmp_path, "dbpedia14")
    (tmp_path / "downloads" / "manual").mkdir(parents=True)
    (tmp_path / "downloads" / "manual" / "other.zip").write_text("x")
    with pytest.raises(UserError, match=r"--data\.tfds-manual-dir"):
        load(tmp_path, "dbpedia14")


@pytest.mark.parametrize(
    ("row", "message"),
    [('"15","","x"\n', "row 43 .*class '15'"), ('"1","x"\n', "row 43 .*2 fields where 3")],
)
def test_dbpedia14_names_a_bad_row(tmp_path, row, message):
    folder = dbpedia_folder(tmp_path / "downloads" / "manual" / "dbpedia_csv")
    (folder / "train.csv").write_text(DBPEDIA + row)
    with pytest.raises(UserError, match=message):
        load(tmp_path, "dbpedia14")
