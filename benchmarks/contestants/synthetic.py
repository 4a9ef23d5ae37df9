"""Training steps of ours on made-up texts of one length: ids by Zipf's law, as in real texts."""

from __future__ import annotations

import dataclasses

import numpy as np

from benchmarks.contestants.ours import Trainer as OnBatches
from benchmarks.data import Setting
from wave_jax.data.batches import TrainBatches
from wave_jax.data.tokenizer import Tokens
from wave_jax.models import table_rows

_SPECIAL = 4  # pieces before the first word
_CLS = 2


class Trainer(OnBatches):
    """Steps on a batch of `texts` texts of `length` tokens."""

    def __init__(self, setting: Setting, texts: int, length: int) -> None:
        vocab_size = setting.texts.vocab_size
        words = np.arange(_SPECIAL, vocab_size)
        share = 1 / (words - _SPECIAL + 2.7)
        rng = np.random.default_rng(0)
        ids = rng.choice(words, (texts, length), p=share / share.sum()).astype(np.int32)
        ids[:, 0] = _CLS
        tokens = Tokens(ids.ravel(), np.arange(texts + 1, dtype=np.int64) * length, 0)
        batches = TrainBatches(
            tokens,
            rng.integers(0, setting.texts.num_classes, texts),
            batch_size=texts,
            seed=0,
            table_rows=table_rows(vocab_size),
        )
        longer = dataclasses.replace(setting.data, max_length=max(length, 3))
        super().__init__(dataclasses.replace(setting, data=longer), None, batches, setting.texts)
