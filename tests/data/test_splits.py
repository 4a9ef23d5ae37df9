"""Splits by label, of which equal texts and the rows of a group stay on one side."""

import json
from collections import Counter, defaultdict
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wave_jax.data.config import DataConfig
from wave_jax.data.dataset import (
    Dataset,
    Split,
    describe_classes,
    duplicates_between,
    load_dataset,
    load_split,
)
from wave_jax.data.files import read_file, read_source
from wave_jax.data.table import ColumnSpec, Table, components, draw
from wave_jax.errors import UserError

rows = st.lists(
    st.tuples(
        st.sampled_from(["a", "a ", " a", "b c", "b\n c", "", " ", "d", "e", "f", "g", "h"]),
        st.sampled_from("xyz"),
        st.none() | st.sampled_from(["1", "2", "3", "4", "5", "6"]),
    ),
    min_size=2,
    max_size=30,
)


def reached(texts, groups, start):
    """The rows that hang together with one, found one after the other."""
    found, waiting = {start}, [start]
    while waiting:
        row = waiting.pop()
        for other in range(len(texts)):
            same = texts[row].split() == texts[other].split()
            named = groups is not None and groups[row] is not None
            if other not in found and (same or (named and groups[row] == groups[other])):
                found.add(other)
                waiting.append(other)
    return found


@settings(max_examples=80)
@given(rows=rows, grouped=st.booleans())
def test_components_are_what_hangs_together(rows, grouped):
    texts = [text for text, _, _ in rows]
    groups = [group for _, _, group in rows] if grouped else None
    parts = components(texts, groups).tolist()
    for row in range(len(texts)):
        assert {i for i, part in enumerate(parts) if part == parts[row]} == reached(
            texts, groups, row
        )
    assert list(dict.fromkeys(parts)) == list(range(max(parts) + 1))


@settings(max_examples=200)
@given(rows=rows, fraction=st.floats(0.01, 0.99), seed=st.integers(0, 9))
def test_no_group_and_no_text_is_on_both_sides(rows, fraction, seed):
    texts, labels, groups = (list(column) for column in zip(*rows, strict=True))
    numbered = [f"{i}" for i in range(len(rows))]  # rows are told apart by their columns
    table = Table(texts, labels, "f.csv", groups=groups)
    parts = components(texts, groups)
    if not parts.any():
        with pytest.raises(UserError, match="too few rows to be split"):
            table.split(fraction, seed)
        return
    rest, drawn = table.split(fraction, seed)
    assert len(rest) > 0
    assert len(drawn) > 0
    assert Counter(rest.texts + drawn.texts) == Counter(texts)
    assert Counter(rest.labels + drawn.labels) == Counter(labels)
    assert not {t.strip() for t in rest.texts} & {t.strip() for t in drawn.texts}
    assert not (set(rest.groups) & set(drawn.groups)) - {None}
    assert table.split(fraction, seed) == (rest, drawn)
    owners = defaultdict(set)  # the parts of each label
    for part in parts:
        owners[labels[parts.tolist().index(part)]].add(part)
    chosen = draw(np.array(["xyz".index(label) for label in labels]), parts, fraction, seed)
    assert [texts[int(i)] for i in np.array(numbered)[chosen]] == drawn.texts
    for own in owners.values():
        assert len(own) == 1 or not own <= set(parts[chosen].tolist())


@settings(max_examples=150)
@given(
    counts=st.lists(st.integers(1, 40), min_size=1, max_size=6).filter(lambda n: sum(n) > 1),
    fraction=st.floats(0.01, 0.5),
    seed=st.integers(0, 2**32),
)
def test_single_rows_are_stratified_to_a_row_and_the_total_is_exact(counts, fraction, seed):
    labels = np.random.default_rng(seed).permutation(np.repeat(np.arange(len(counts)), counts))
    total = sum(counts)
    drawn = draw(labels, np.arange(total), fraction, seed)
    expected = max(1, min(total - 1, round(fraction * total)))
    assert drawn.sum() == expected
    found = np.bincount(labels[drawn], minlength=len(counts))
    for count, own in zip(counts, found, strict=True):
        assert abs(own - expected * count / total) < 2
        assert own < count or count == 1
    if min(counts) > 1:
        assert (np.abs(found - expected * np.array(counts) / total) < 1).all()
    np.testing.assert_array_equal(draw(labels, np.arange(total), fraction, seed), drawn)


def test_large_parts_do_not_swallow_a_split():
    parts = np.array([0] * 60 + list(range(1, 41)))  # a film of 60 reviews and 40 of one
    sizes = [draw(np.zeros(100, int), parts, 0.2, seed).sum() for seed in range(20)]
    assert set(sizes) == {20}
    halves = draw(np.zeros(100, int), np.repeat([0, 1], 50), 0.2, 0)
    assert halves.sum() == 50  # there is no smaller one
    labels = np.repeat([0, 1], 50)
    one_label_in_one_part = draw(labels, np.r_[np.arange(50), [50] * 50], 0.2, 0)
    assert one_label_in_one_part[:50].sum() == 10
    assert one_label_in_one_part[50:].sum() == 0  # or nothing of it were learned
    assert draw(labels, labels, 0.2, 0).sum() == 50


FILMS = [(f"text {i}", "neg" if i % 2 else "pos", i // 4) for i in range(80)]


def write(folder, suffix, films=FILMS):
    path = folder / f"films{suffix}"
    texts, labels, names = zip(*films, strict=True)
    if suffix in (".csv", ".tsv"):
        mark = "," if suffix == ".csv" else "\t"
        lines = [("text", "label", "film"), *films]
        path.write_text("".join(mark.join(map(str, line)) + "\n" for line in lines))
    elif suffix == ".jsonl":
        keys = ("text", "label", "film")
        lines = (json.dumps(dict(zip(keys, film, strict=True))) + "\n" for film in films)
        path.write_text("".join(lines))
    elif suffix == ".parquet":
        pq.write_table(pa.table({"text": texts, "label": labels, "film": names}), path)
    else:
        path.write_text("".join(f"__label__{label} {text}\n" for text, label, _ in films))
    return path


@pytest.mark.parametrize("suffix", [".csv", ".tsv", ".jsonl", ".parquet"])
def test_every_table_may_name_groups(tmp_path, suffix):
    config = DataConfig(source=str(write(tmp_path, suffix)), group_column="film")
    dataset = load_dataset(config)
    splits = {name: getattr(dataset, name) for name in ("train", "validation", "test")}
    films = [{int(text.split()[1]) // 4 for text in split.texts} for split in splits.values()]
    assert sum(map(len, films)) == len(set.union(*films)) == 20
    assert [len(split) for split in splits.values()] == [52, 12, 16]
    for name, split in splits.items():
        again = load_split(config, name, dataset.label_names, trained_on=config)
        assert list(again.texts) == list(split.texts)
    other = write(tmp_path, ".txt")  # has no such column, and needs none
    elsewhere = replace(config, source=str(other))
    assert len(load_split(elsewhere, "test", dataset.label_names, trained_on=config)) == 80


def test_only_what_is_split_needs_its_groups(tmp_path):
    (tmp_path / "test.csv").write_text("text,label\nx,pos\n")
    write(tmp_path, ".csv").rename(tmp_path / "train.csv")
    tables, _ = read_source(tmp_path, ColumnSpec(group="film"))
    assert tables["train"].groups[:5] == ["'0'"] * 4 + ["'1'"]
    assert tables["test"].groups is None
    train = DataConfig(source=str(tmp_path / "train.csv"), group_column="film")
    assert len(load_dataset(replace(train, test=str(tmp_path / "test.csv"))).test) == 1


@pytest.mark.parametrize("suffix", [".csv", ".jsonl", ".parquet"])
def test_rows_without_a_group_are_groups_of_their_own(tmp_path, suffix):
    empty = "" if suffix == ".csv" else None
    films = [("a", "x", 0), ("b", "x", empty), ("c", "y", empty), ("d", "y", 0)]
    table = read_file(write(tmp_path, suffix, films), ColumnSpec(group="film"))
    assert components(table.texts, table.groups).tolist() == [0, 1, 2, 0]


@pytest.mark.parametrize(
    ("suffix", "column", "message"),
    [
        (".csv", "flim", r"films\.csv has no column 'flim', did you mean 'film'.*--data.group-col"),
        (".parquet", "flim", "no column 'flim', did you mean 'film'"),
        (".csv", "same", "all 4 rows have one value in the column 'same'.*name another"),
        (".txt", "film", "is a fastText file, which has no column 'film': leave"),
    ],
)
def test_columns_that_give_no_groups(tmp_path, suffix, column, message):
    path = write(tmp_path, suffix)
    if column == "same":
        path.write_text("text,label,same\n" + "a,x,1\nb,y,1\n" * 2)
    with pytest.raises(UserError, match=message) as caught:
        load_dataset(DataConfig(source=str(path), group_column=column))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("source", ["docstrings", "tfds:imdb_reviews"])
def test_sources_without_columns_have_no_groups(source):
    with pytest.raises(UserError, match="--data.group-column film: the source .* no such column"):
        load_dataset(DataConfig(source=source, group_column="film"))


def test_a_missing_key_names_the_row(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_text('{"text": "a", "label": "x", "film": 1}\n{"text": "b", "label": "y"}\n')
    with pytest.raises(UserError, match=r"row 2 \(line 2\): the key 'film' is missing"):
        read_file(path, ColumnSpec(group="film"))


def test_a_test_fraction_of_0_learns_from_all_rows(tmp_path):
    lines = [json.dumps({"text": f"t{i}", "label": "xy"[i % 2]}) for i in range(50)]
    path, held = tmp_path / "a.jsonl", tmp_path / "test.jsonl"
    path.write_text("\n".join(lines[:40]))
    held.write_text("\n".join(lines[40:]))
    config = DataConfig(source=str(path), test_fraction=0)
    dataset = load_dataset(config)
    assert (len(dataset.train), len(dataset.validation), len(dataset.test)) == (32, 8, 0)
    assert len(load_dataset(replace(config, test=str(held))).test) == 10, "its own split stays"
    with pytest.raises(UserError, match="validation-fraction is 0, expected between"):
        load_dataset(replace(config, validation_fraction=0))


def test_what_a_run_says_of_its_texts():
    def split(texts):
        return Split(texts, np.arange(len(texts), dtype=np.int32) % 15)

    train, test = split([f"text {i}" for i in range(40)]), split(["text  3", "new", "text 9\n"])
    names = tuple(f"c{i}" for i in range(15))
    dataset = Dataset(names, train, split(["new"]), test, "texts")
    assert duplicates_between(train, test) == 2
    threes = ", ".join(f"c{i} 3" for i in range(3, 10))
    line = f"15 classes: c0 5, c1 4, c2 4, {threes}, c10 2, c11 2 and 3 more"
    assert describe_classes(dataset) == line
    assert dataset.notes == (
        line,
        "3 of 3 test texts are also training or validation texts: the test is easier by as much",
    )


def test_repeated_rows_are_said():
    texts = [f"text {i % 30}" for i in range(300)]
    labels = np.arange(300, dtype=np.int32) % 2
    labels[299] = 0  # of one text
    dataset = Dataset(
        ("a", "b"), Split(texts, labels), Split(["c"], labels[:1]), Split([], labels[:0]), "t"
    )
    assert dataset.notes[1:] == (
        "270 of 301 training and validation texts repeat another one, 1 with another label: a split"
        " keeps them together",
    )


def test_the_column_of_groups_is_no_text_wherever_texts_are_read(tmp_path):
    """A group column whose name is that of a text: left out at training, and so ever after."""
    for name in ("train", "new"):
        rows = [f"film {i % 5},review {i},{'good' if i % 2 else 'bad'}" for i in range(40)]
        (tmp_path / f"{name}.csv").write_text("\n".join(["title,text,label", *rows]))
    config = DataConfig(source=str(tmp_path / "train.csv"), group_column="title")
    assert not any("film" in text for text in load_dataset(config).train.texts)
    other = replace(config, source=str(tmp_path / "new.csv"))
    split = load_split(other, "test", ("bad", "good"), trained_on=config)
    assert split.texts == [f"review {i}" for i in range(40)]
    tested = load_dataset(replace(config, test=str(tmp_path / "new.csv"))).test
    assert tested.texts == split.texts
