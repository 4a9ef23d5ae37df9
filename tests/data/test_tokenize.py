"""From a data set to ids, and the cache on disk."""

import errno
import subprocess
import sys
from dataclasses import replace
from functools import partial

import numpy as np
import pytest

from wave_jax.data.config import DataConfig
from wave_jax.data.dataset import Dataset, Split
from wave_jax.data.tokenize import cached, texts_digest, tokenize_dataset
from wave_jax.data.tokenizer import WordPiece
from wave_jax.errors import UserError

TEXTS = ["Waves of Light", "Waves of sound, waves of water", "", "a sea of waves " * 9]


@pytest.fixture
def dataset():
    split = Split(TEXTS, np.arange(4, dtype=np.int32) % 2)
    return Dataset(
        label_names=("a", "b"),
        train=split,
        validation=Split(TEXTS[:2], split.labels[:2]),
        test=Split(TEXTS[2:], split.labels[2:]),
        description="four texts",
    )


@pytest.fixture
def config(tmp_path):
    return DataConfig(cache_dir=str(tmp_path / "cache"), vocab_size=60, max_length=16)


def ids(prepared):
    return {name: split.tokens.ids.tolist() for name, split in prepared.splits.items()}


def test_splits_hold_the_ids_of_their_texts(config, dataset):
    prepared = tokenize_dataset(config, dataset)
    assert sorted(prepared.splits) == ["test", "train", "validation"]
    train = prepared.splits["train"]
    expected = prepared.tokenizer.encode(TEXTS, 16)
    assert train.tokens.ids.tolist() == expected.ids.tolist()
    assert train.tokens.cut == expected.cut == 1
    assert train.labels.tolist() == [0, 1, 0, 1]
    assert prepared.splits["test"].tokens.lengths.tolist() == [2, 16]


def test_a_second_time_nothing_is_trained_or_tokenised(config, dataset, monkeypatch):
    first = tokenize_dataset(config, dataset)

    def never(*args, **options):
        raise AssertionError("done although it was kept")

    monkeypatch.setattr(WordPiece, "train", never)
    monkeypatch.setattr(WordPiece, "encode", never)
    second = tokenize_dataset(config, dataset)
    assert ids(second) == ids(first)
    assert second.tokenizer.fingerprint == first.tokenizer.fingerprint
    assert second.splits["train"].tokens.cut == 1


@pytest.mark.parametrize(
    "change", [{"max_length": 8}, {"vocab_size": 30}, {"lowercase": False}, {"texts": 1}]
)
def test_whatever_shapes_the_ids_is_in_the_key(config, dataset, change):
    tokenize_dataset(config, dataset)
    if "texts" in change:
        dataset = replace(dataset, train=replace(dataset.train, texts=[*TEXTS[:3], "Dry land"]))
        changed = config
    else:
        changed = replace(config, **change)
    fresh = replace(changed, cache_dir=changed.cache_dir + "-fresh")
    assert ids(tokenize_dataset(changed, dataset)) == ids(tokenize_dataset(fresh, dataset))


def test_a_given_tokenizer_or_vocabulary_is_used(config, dataset, tmp_path):
    given = WordPiece.train(["other words entirely"] * 2, vocab_size=40)
    assert tokenize_dataset(config, dataset, given).tokenizer is given
    (tmp_path / "tokenizer.json").write_text(given.to_json(), encoding="utf-8")
    read = tokenize_dataset(replace(config, vocab=str(tmp_path / "tokenizer.json")), dataset)
    assert read.tokenizer.fingerprint == given.fingerprint
    with pytest.raises(UserError, match="No such file"):
        tokenize_dataset(replace(config, vocab="nowhere.txt"), dataset)


def test_a_cache_that_cannot_be_written_only_costs_a_warning(config, dataset, tmp_path, caplog):
    (tmp_path / "file").write_text("")
    found = tokenize_dataset(replace(config, cache_dir=str(tmp_path / "file")), dataset)
    assert ids(found) == ids(tokenize_dataset(config, dataset))
    assert len(caplog.messages) >= 1
    assert all("cannot keep" in line for line in caplog.messages)


def test_a_split_without_texts_is_empty(config, dataset):
    empty = Split([], np.zeros(0, np.int32))
    for _ in range(2):
        found = tokenize_dataset(config, replace(dataset, validation=empty))
        assert len(found.splits["validation"].tokens) == 0


ARRAYS = {"ids": np.arange(1000, dtype=np.int32), "cut": np.array(3), "none": np.zeros(0)}


def never():
    raise AssertionError("made although it was kept")


@pytest.fixture
def cache(tmp_path):
    fetch = partial(cached, tmp_path / "cache")
    fetch("key", lambda: ARRAYS)
    return fetch


def check(found):
    assert sorted(found) == sorted(ARRAYS)
    for name, array in ARRAYS.items():
        np.testing.assert_array_equal(found[name], array)
        assert found[name].dtype == array.dtype


def test_arrays_come_back(cache, caplog, tmp_path):
    check(cache("key", never))
    assert caplog.messages == []
    assert [entry.name for entry in (tmp_path / "cache").iterdir()] == ["key.npz"]
    assert cache("other", lambda: {"a": np.ones(2)})["a"].tolist() == [1, 1]


def entry_of(tmp_path):
    (entry,) = (tmp_path / "cache").iterdir()
    return entry


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 and no more", b"no array at all", b"[1]"])
def test_damaged_entries_are_reported_and_replaced(cache, caplog, tmp_path, content):
    entry_of(tmp_path).write_bytes(content)
    check(cache("key", lambda: ARRAYS))
    assert "is damaged" in caplog.text
    assert len(caplog.messages) == 1
    check(cache("key", never))
    assert len(caplog.messages) == 1


def test_a_truncated_entry_or_one_flipped_bit_cannot_change_an_array(cache, tmp_path):
    whole = entry_of(tmp_path).read_bytes()
    for place in range(0, len(whole), 23):
        content = bytearray(whole)
        content[place] ^= 1
        for damaged in (bytes(content), whole[:place]):
            entry_of(tmp_path).write_bytes(damaged)
            check(cache("key", lambda: ARRAYS))


def test_pickled_objects_are_not_loaded(cache, tmp_path):
    with entry_of(tmp_path).open("wb") as file:
        np.savez(file, ids=np.array([{}], object))
    check(cache("key", lambda: ARRAYS))


def test_a_place_that_cannot_be_written_costs_one_line(tmp_path, caplog):
    (tmp_path / "file").write_text("")
    cache = partial(cached, tmp_path / "file" / "cache")
    check(cache("key", lambda: ARRAYS))
    assert len(caplog.messages) == 1
    assert "cannot keep" in caplog.messages[0]
    assert "\n" not in caplog.messages[0]
    check(cached(None, "key", lambda: ARRAYS))
    assert len(caplog.messages) == 1


def test_an_error_in_making_leaves_nothing(tmp_path):
    with pytest.raises(AssertionError):
        cached(tmp_path, "key", never)
    assert list(tmp_path.iterdir()) == []


def test_a_disk_that_fills_up_leaves_no_half_entry(tmp_path, caplog, monkeypatch):
    def full(file, **options):
        file.write_bytes(b"half")
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(np, "savez", full)
    check(cached(tmp_path, "key", lambda: ARRAYS))
    assert list(tmp_path.iterdir()) == []
    line = f"cannot keep tokenized texts in {tmp_path}: No space left on device"
    assert caplog.messages == [line]


WRITER = """
import logging.handlers, os, sys
import numpy as np
from pathlib import Path
from wave_jax.data.tokenize import cached
folder, me, breaks = Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3] == "breaks"
logging.getLogger('wave_jax').addHandler(handler := logging.handlers.BufferingHandler(10_000))
print("ready", flush=True)
sys.stdin.readline()
for turn in range(150):
    key = str(turn % 3) if breaks else str(turn)
    found = cached(folder, key, lambda: {"a": np.full(50_000, int(key)), "b": np.arange(7)})
    assert (found["a"] == int(key)).all() and found["b"].tolist() == list(range(7))
    if breaks and turn % 5 == me:  # what the other one may be reading or replacing
        try:
            os.truncate(Path(folder, key + ".npz"), 100)
        except FileNotFoundError:
            pass
assert breaks or not handler.buffer, handler.buffer
"""


@pytest.mark.parametrize("mode", ["breaks", "only writes"])
def test_processes_that_share_a_cache(tmp_path, mode):
    running = [
        subprocess.Popen(
            [sys.executable, "-c", WRITER, str(tmp_path), str(me), mode],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for me in (0, 1)
    ]
    for process in running:
        assert process.stdout.readline() == "ready\n"
    for process in running:
        process.stdin.write("go\n")
        process.stdin.flush()
    for process in running:
        _, errors = process.communicate(timeout=120)
        assert process.returncode == 0, errors
    for entry in tmp_path.iterdir():
        assert not entry.name.startswith(".part-")
        if mode == "only writes":
            with np.load(entry) as arrays:
                assert sorted(arrays) == ["a", "b"]


def test_digests_tell_texts_and_their_borders_apart():
    sets = [[], [""], ["", ""], ["ab"], ["a", "b"], ["a", "\0b"], ["a\0", "b"], ["\ud800"], ["é"]]
    assert len({texts_digest(texts) for texts in sets}) == len(sets)
    many = [f"text {i}" for i in range(20_000)]
    assert texts_digest(many) == texts_digest(tuple(many)) != texts_digest(many[:-1])
