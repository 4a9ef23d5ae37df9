"""From a corpus to ids, and what the cache spares."""

from dataclasses import replace

import numpy as np
import pytest

from wave_jax.data.config import DataConfig
from wave_jax.data.dataset import Dataset, Split
from wave_jax.data.tokenize import tokenize_dataset, tokenize_split
from wave_jax.data.tokenizer import WordPiece
from wave_jax.errors import UserError

TEXTS = ["Waves of Light", "Waves of sound, waves of water", "", "a sea of waves " * 9]


@pytest.fixture
def corpus():
    split = Split(TEXTS, np.arange(4, dtype=np.int32) % 2)
    return Dataset(
        name="sea",
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


def test_splits_hold_the_ids_of_their_texts(config, corpus):
    prepared = tokenize_dataset(config, corpus)
    assert sorted(prepared.splits) == ["test", "train", "validation"]
    train = prepared.splits["train"]
    expected = prepared.tokenizer.encode(TEXTS, 16)
    assert train.tokens.ids.tolist() == expected.ids.tolist()
    assert train.tokens.cut == expected.cut == 1
    assert train.labels.tolist() == [0, 1, 0, 1]
    assert prepared.splits["test"].tokens.lengths.tolist() == [2, 16]


def test_a_second_time_nothing_is_trained_or_tokenised(config, corpus, monkeypatch):
    first = tokenize_dataset(config, corpus)

    def never(*args, **options):
        raise AssertionError("done although it was kept")

    monkeypatch.setattr(WordPiece, "train", never)
    monkeypatch.setattr(WordPiece, "encode", never)
    second = tokenize_dataset(config, corpus)
    assert ids(second) == ids(first)
    assert second.tokenizer.fingerprint == first.tokenizer.fingerprint
    assert second.splits["train"].tokens.cut == 1


@pytest.mark.parametrize(
    "change", [{"max_length": 8}, {"vocab_size": 30}, {"lowercase": False}, {"texts": 1}]
)
def test_whatever_shapes_the_ids_is_in_the_key(config, corpus, change):
    tokenize_dataset(config, corpus)
    if "texts" in change:
        corpus = replace(corpus, train=replace(corpus.train, texts=[*TEXTS[:3], "Dry land"]))
        changed = config
    else:
        changed = replace(config, **change)
    fresh = replace(changed, cache_dir=changed.cache_dir + "-fresh")
    assert ids(tokenize_dataset(changed, corpus)) == ids(tokenize_dataset(fresh, corpus))


def test_a_given_tokenizer_or_vocabulary_is_used(config, corpus, tmp_path):
    given = WordPiece.train(["other words entirely"] * 2, vocab_size=40)
    assert tokenize_dataset(config, corpus, given).tokenizer is given
    given.save(tmp_path / "tokenizer.json")
    read = tokenize_dataset(replace(config, vocab=str(tmp_path / "tokenizer.json")), corpus)
    assert read.tokenizer.fingerprint == given.fingerprint
    with pytest.raises(UserError, match="No such file"):
        tokenize_dataset(replace(config, vocab="nowhere.txt"), corpus)


def test_a_cache_that_cannot_be_written_only_costs_a_notice(config, corpus, tmp_path):
    (tmp_path / "file").write_text("")
    said = []
    prepared = tokenize_dataset(
        replace(config, cache_dir=str(tmp_path / "file")), corpus, notice=said.append
    )
    assert ids(prepared) == ids(tokenize_dataset(config, corpus))
    assert all("cannot keep" in line for line in said)
    assert len(said) >= 1


def test_a_split_without_texts_is_empty(config):
    split = Split([], np.zeros(0, np.int32))
    tokenizer = WordPiece.train(TEXTS, vocab_size=40)
    for _ in range(2):
        assert len(tokenize_split(config, split, tokenizer).tokens) == 0
