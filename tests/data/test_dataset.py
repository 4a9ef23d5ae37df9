"""From a configuration to texts for training, validation and test."""

import itertools
import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wave_jax.data.config import DataConfig
from wave_jax.data.dataset import complete_splits, load_dataset, load_split, write_snapshot
from wave_jax.data.table import Table
from wave_jax.errors import UserError

NAMES = ("train", "validation", "test")


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


def test_duplicates_stay_and_on_one_side(tmp_path):
    texts = [(f"same{' ' * (i // 10)} {i % 10}", "ab"[i % 2]) for i in range(20)]
    dataset = load_dataset(DataConfig(source=jsonl(tmp_path / "all.jsonl", texts)))
    found = [{text.split()[1] for text in texts} for texts, _ in splits(dataset)]
    assert sum(len(labels) for _, labels in splits(dataset)) == 20
    assert sum(map(len, found)) == len(set.union(*found)) == 10
    with pytest.raises(UserError, match="too few rows to be split: 20 left, which have one text"):
        load_dataset(DataConfig(source=jsonl(tmp_path / "b.jsonl", [("x", "a"), ("x ", "b")] * 10)))


def test_a_snapshot_gives_the_same_dataset(tmp_path):
    odd = [("plain", "neg"), ("line\nbreak\r\x00", "pos"), ("größe \u2028", "neg"), ("", "pos")]
    texts = [(f"{text}{i or ''}", label) for i in range(5) for text, label in odd]
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
    for fraction in (0.2, 0.9):  # the only 'b' stays, and one 'a' does
        dataset = load_dataset(DataConfig(source=source, validation_fraction=fraction))
        assert set(dataset.train.labels.tolist()) == {0, 1}
    (tmp_path / "given").mkdir()
    for split, label in (("train", "a"), ("validation", "b"), ("test", "a")):
        jsonl(tmp_path / "given" / f"{split}.jsonl", [("x", label), ("y", label)])
    (tmp_path / "given" / "labels.json").write_text('["a", "b"]')
    with pytest.raises(UserError, match="training texts have one label"):
        load_dataset(DataConfig(source=str(tmp_path / "given")))


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("~nobody-of-this-name/x.csv", "cannot be a path"),
        ("a" * 300 + ".csv", "cannot be a path: File name too long"),
        ("stanfordnlp/imdb", r"no source 'stanfordnlp/imdb'; expected .* 'hf:OWNER/NAME' or the"),
        ("docstring", r"no source 'docstring', did you mean 'docstrings'"),
        ("nowhere/at/all.csv", "no such file or folder: nowhere/at/all.csv in /"),
        ("", "expected 'docstrings', 'tfds:NAME', 'hf:OWNER/NAME' or the path of a .* in /"),
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


def completed(given, validation=0.2, test=0.2, seed=0):
    config = DataConfig(validation_fraction=validation, test_fraction=test, split_seed=seed)
    return complete_splits(given, config)


def tables(count, test=None):
    texts = [f"text {i}" for i in range(count)]
    labels = ["a", "b"] * (count // 2) + ["a"] * (count % 2)
    given = {"train": Table(texts, labels, "f.csv")}
    return given if test is None else given | {"test": test}


@settings(deadline=None, database=None, max_examples=60)
@given(
    count=st.integers(3, 300),
    validation=st.floats(0.01, 0.99),
    test=st.floats(0.01, 0.99),
    seed=st.integers(0, 2**32),
)
def test_splits_are_disjoint_complete_in_order_and_repeatable(count, validation, test, seed):
    try:
        done = completed(tables(count), validation, test, seed)
    except UserError:  # the test took all but one row
        assert count - min(max(round(test * count), 1), count - 1) < 2
        return
    found = [done[name] for name in NAMES]
    numbers = [[int(text.split()[1]) for text in rows.texts] for rows in found]
    assert all(split == sorted(split) and split for split in numbers)
    assert sorted(itertools.chain(*numbers)) == list(range(count))
    again = completed(tables(count), validation, test, seed)
    assert again == done


def test_sizes_and_labels_follow():
    done = completed(tables(1000), 0.2, 0.1, 3)
    assert [len(done[name]) for name in NAMES] == [720, 180, 100]
    for rows in (done[name] for name in NAMES):
        expected = ["ab"[int(text.split()[1]) % 2] for text in rows.texts]
        assert rows.labels == expected


def test_a_given_test_split_is_left_alone_and_the_seed_matters():
    given_test = Table(["t"], ["a"], "t.csv")
    one = completed(tables(100, given_test), 0.2, 0.5, 0)
    other = completed(tables(100, given_test), 0.2, 0.5, 1)
    assert one["test"] is given_test
    assert len(one["train"]) == 80
    assert one["train"].texts != other["train"].texts


def test_the_split_is_the_same_on_every_machine():
    """NumPy's stream for a seed; were it to change, texts would move between splits."""
    done = completed(tables(10), 0.2, 0.2, 0)
    generator = np.random.default_rng((0, 1))
    # of each label the second: the first of its random order stays
    chosen = sorted(generator.permutation(range(start, 10, 2))[1] for start in (0, 1))
    assert done["test"].texts == [f"text {i}" for i in chosen]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"validation": 0.0}, r"--data\.validation-fraction is 0\.0"),
        ({"test": 1.0}, r"--data\.test-fraction is 1\.0"),
        ({"test": float("nan")}, r"--data\.test-fraction is nan"),
        ({"seed": -1}, r"--data\.split-seed is -1"),
    ],
)
def test_fractions_and_seed_are_checked(options, message):
    with pytest.raises(UserError, match=message):
        completed(tables(10), **options)


def test_too_few_rows():
    with pytest.raises(UserError, match=r"f\.csv has too few rows"):
        completed(tables(2), 0.2, 0.2, 0)
