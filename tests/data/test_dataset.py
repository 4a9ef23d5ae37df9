"""From a configuration to texts for training, validation and test."""

import json
from dataclasses import replace

import numpy as np
import pytest

from wave_jax.data.config import DataConfig
from wave_jax.data.dataset import load_dataset, load_split, write_snapshot
from wave_jax.errors import UserError


def jsonl(path, rows):
    lines = (json.dumps({"text": text, "label": label}) + "\n" for text, label in rows)
    path.write_text("".join(lines))
    return str(path)


def rows(count, tag="row"):
    return [(f"{tag} {i}", "neg" if i % 3 else "pos") for i in range(count)]


def splits(dataset):
    return [
        (list(s.texts), s.labels.tolist())
        for s in (dataset.train, dataset.validation, dataset.test)
    ]


def test_a_file_is_cut_into_three(tmp_path):
    config = DataConfig(source=jsonl(tmp_path / "all.jsonl", rows(100)))
    dataset = load_dataset(config)
    assert [len(s) for s in (dataset.train, dataset.validation, dataset.test)] == [64, 16, 20]
    assert dataset.label_names == ("neg", "pos")
    assert dataset.train.labels.dtype == np.int32
    assert not dataset.snapshot
    for name in ("train", "validation", "test"):
        again = load_split(config, name, dataset.label_names)
        assert list(again.texts) == list(getattr(dataset, name).texts)
        assert again.labels.tolist() == getattr(dataset, name).labels.tolist()


def test_a_test_file_of_its_own(tmp_path):
    test = jsonl(tmp_path / "test.jsonl", [("t", "pos")])
    dataset = load_dataset(DataConfig(source=jsonl(tmp_path / "all.jsonl", rows(100)), test=test))
    assert (len(dataset.train), len(dataset.validation)) == (80, 20)
    assert (list(dataset.test.texts), dataset.test.labels.tolist()) == (["t"], [1])


def test_exact_duplicates_stay(tmp_path):
    source = jsonl(tmp_path / "all.jsonl", [("same", "a"), ("same", "b")] * 10)
    dataset = load_dataset(DataConfig(source=source))
    assert sum(len(s) for s in (dataset.train, dataset.validation, dataset.test)) == 20


def test_a_snapshot_gives_the_same_dataset(tmp_path):
    texts = [
        ("plain", "neg"),
        ("line\nbreak\r\x00", "pos"),
        ("größe \u2028", "neg"),
        ("", "pos"),
    ] * 5
    dataset = load_dataset(DataConfig(source=jsonl(tmp_path / "all.jsonl", texts)))
    write_snapshot(dataset, tmp_path / "kept" / "snapshot")
    again = load_dataset(DataConfig(source=str(tmp_path / "kept" / "snapshot"), split_seed=9))
    assert splits(again) == splits(dataset)
    assert again.label_names == dataset.label_names
    assert again.fingerprint == dataset.fingerprint
    names = sorted(path.name for path in (tmp_path / "kept" / "snapshot").iterdir())
    assert names == ["labels.json", "test.jsonl", "train.jsonl", "validation.jsonl"]


def test_the_fingerprint_sees_every_change(tmp_path):
    def of(texts, **options):
        source = jsonl(tmp_path / "all.jsonl", texts)
        return load_dataset(DataConfig(source=source, **options)).fingerprint

    base = rows(20)
    prints = [
        of(base),
        of([("other", "neg"), *base[1:]]),
        of([(base[0][0], "neg"), *base[1:]]),
        of(base, split_seed=1),
        of([(text, label.upper()) for text, label in base]),
    ]
    assert len(set(prints)) == len(prints)
    assert of(base) == prints[0]


@pytest.mark.parametrize(
    ("train", "test", "message"),
    [
        ([("a", "x")] * 9, None, "all 9 rows have the one label 'x'"),
        ([(f"t{i}", f"id{i}") for i in range(30)], None, "30 different labels.*label-column"),
        (rows(9), [("a", "neg"), ("b", "nge")], r"test\.jsonl, row 2: the label 'nge'.*'neg'"),
    ],
)
def test_labels_are_checked(tmp_path, train, test, message):
    config = DataConfig(
        source=jsonl(tmp_path / "all.jsonl", train),
        test=test and jsonl(tmp_path / "test.jsonl", test),
    )
    with pytest.raises(UserError, match=message):
        load_dataset(config)


def test_a_test_label_that_only_the_list_of_classes_knows_is_refused(tmp_path):
    """Names of classes (here classes.txt) do not make up for training texts."""
    (tmp_path / "classes.txt").write_text("a\nb\nc\n")
    (tmp_path / "train.csv").write_text("".join(f'"{1 + i % 2}","text {i}"\n' for i in range(20)))
    (tmp_path / "test.csv").write_text('"1","x"\n"3","y"\n')
    with pytest.raises(UserError, match="test split has the label 'c', which no training text has"):
        load_dataset(DataConfig(source=str(tmp_path)))


def test_a_split_that_leaves_one_class_to_learn_is_refused(tmp_path):
    source = jsonl(tmp_path / "all.jsonl", [("t0", "b")] + [(f"t{i}", "a") for i in range(1, 6)])
    config = DataConfig(source=source, validation_fraction=0.4, test_fraction=0.4)
    refusals = []
    for seed in range(8):
        try:
            load_dataset(replace(config, split_seed=seed))
        except UserError as error:
            refusals.append(str(error))
    assert 0 < len(refusals) < 8
    assert all("training texts have one label" in refusal for refusal in refusals)


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("~nobody-of-this-name/x.csv", "cannot be a path"),
        ("a" * 300 + ".csv", "cannot be a path: File name too long"),
        ("docstring", r"no source 'docstring', did you mean 'docstrings'"),
        ("nowhere/at/all.csv", "no such file or folder: nowhere/at/all.csv"),
        ("", "expected 'docstrings', 'tfds:NAME' or the path"),
    ],
)
def test_unknown_sources(source, message):
    with pytest.raises(UserError, match=message):
        load_dataset(DataConfig(source=source))


def test_another_file_is_evaluated_whole(tmp_path):
    trained_on = DataConfig(source=jsonl(tmp_path / "train.jsonl", rows(50)))
    other = DataConfig(source=jsonl(tmp_path / "other.jsonl", rows(7, "other")))
    found = load_split(other, "test", ("neg", "pos"), trained_on=trained_on)
    assert len(found) == 7
    with pytest.raises(UserError, match=r"other\.jsonl, row 1: the label 'pos'"):
        load_split(other, "test", ("neg", "good"), trained_on=trained_on)


def test_the_training_source_is_cut_as_in_training(tmp_path):
    trained_on = DataConfig(source=jsonl(tmp_path / "train.jsonl", rows(50)), split_seed=4)
    dataset = load_dataset(trained_on)
    spelled = replace(trained_on, source=str(tmp_path / "x" / ".." / "train.jsonl"))
    (tmp_path / "x").mkdir()
    found = load_split(spelled, "test", dataset.label_names, trained_on=trained_on)
    assert list(found.texts) == list(dataset.test.texts)
    more = jsonl(tmp_path / "more.jsonl", rows(3, "more"))
    given = replace(trained_on, test=more)
    assert len(load_split(given, "test", dataset.label_names, trained_on=trained_on)) == 3
    validation = load_split(given, "validation", dataset.label_names, trained_on=trained_on)
    assert list(validation.texts) == list(dataset.validation.texts)
