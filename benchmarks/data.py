"""The texts that everything is measured on, tokenised once and cut into batches."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from wave_jax.data.batches import Batch, TrainBatches
from wave_jax.data.config import DataConfig
from wave_jax.data.dataset import load_dataset
from wave_jax.data.tokenize import tokenize_dataset
from wave_jax.data.tokenizer import Tokens
from wave_jax.models import table_rows

USUAL_PADDING = 128  # what many an implementation pads every batch to


@dataclass(frozen=True)
class Setting:
    """What all contestants share; picklable, as each works in a process of its own."""

    dim: int = 768
    batch_size: int = 64
    data: DataConfig = field(default_factory=DataConfig)
    dropout: float = 0.5
    word_dropout: float = 0.0
    precision: str = "float32"
    table_optimizer: str = "rows"

    @cached_property
    def texts(self) -> Texts:
        """The tokenised texts; from the cache on disk after the first time."""
        corpus = load_dataset(self.data)
        prepared = tokenize_dataset(self.data, corpus, None)
        split, held = prepared.splits["train"], prepared.splits["validation"]
        return Texts(
            tokens=split.tokens,
            labels=np.asarray(split.labels),
            held_tokens=held.tokens,
            held_labels=np.asarray(held.labels),
            held_texts=tuple(corpus.validation.texts),
            tokenizer=prepared.tokenizer.to_json(),
            vocab_size=prepared.tokenizer.vocab_size,
            num_classes=len(corpus.label_names),
            description=corpus.description,
        )

    def batches(self, word_dropout: float = 0.0) -> TrainBatches:
        """Returns the batches of training, as a training of ours has them."""
        return TrainBatches(
            self.texts.tokens,
            self.texts.labels,
            batch_size=self.batch_size,
            seed=0,
            table_rows=table_rows(self.texts.vocab_size),
            word_dropout=word_dropout,
        )

    @cached_property
    def example(self) -> int:
        """The step of the first epoch whose batch has the median number of distinct ids."""
        batches = self.batches()
        steps = np.arange(0, max(1, len(batches) - 1), max(1, len(batches) // 100))
        rows = table_rows(self.texts.vocab_size)
        counts = [(batches.batch(int(step)).distinct < rows).sum() for step in steps]
        return int(steps[np.argsort(counts)[len(counts) // 2]])


@dataclass(frozen=True)
class Texts:
    """Tokenised texts to learn from, and some that are held out for prediction."""

    tokens: Tokens
    labels: np.ndarray
    held_tokens: Tokens
    held_labels: np.ndarray
    held_texts: tuple[str, ...]
    tokenizer: str
    """The text of its tokenizer.json."""
    vocab_size: int
    num_classes: int
    description: str


def ids_and_mask(batch: Batch, length: int | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Returns ids int32 [B, length] (0 at padding) and the mask; texts are cut at `length`."""
    ids = np.where(batch.mask, batch.distinct[batch.inverse], 0)
    if length is None:
        return ids, batch.mask
    width = max(0, length - ids.shape[1])
    ids, mask = (np.pad(array, ((0, 0), (0, width))) for array in (ids, batch.mask))
    return ids[:, :length], mask[:, :length]
