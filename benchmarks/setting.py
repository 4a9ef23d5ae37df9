"""What all implementations share: the sizes of the network, the texts and their batches."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal

import numpy as np

from wave_jax.data.batches import Batch, TrainBatches
from wave_jax.data.config import DataConfig
from wave_jax.data.dataset import Split, load_dataset
from wave_jax.data.tokenize import TokenizedDataset, tokenize_dataset
from wave_jax.data.tokenizer import Tokens
from wave_jax.models import table_rows

USUAL_PADDING = 128  # the length that many implementations pad every batch to


@dataclass(frozen=True)
class Setting:
    """What is measured, on which texts; picklable, as every implementation has its own process."""

    dim: int = 768
    preset: Literal["paper", "adapted"] = "adapted"
    batch_size: int = 64
    data: DataConfig = field(default_factory=DataConfig)
    dropout: float = 0.5
    word_dropout: float = 0.0
    precision: str = "float32"
    table_optimizer: str = "rows"

    @property
    def paper(self) -> bool:
        """Whether networks are the paper's to the letter: positions, and one norm."""
        return self.preset == "paper"

    def waves(self) -> dict[str, Any]:
        """Returns the fields of ModelConfig that make waves those of the preset."""
        return {"norms": 1, "position": "sinusoidal"} if self.paper else {}

    @cached_property
    def tokenized(self) -> TokenizedDataset:
        """The tokenized texts; from the cache on disk after the first time."""
        return tokenize_dataset(self.data, load_dataset(self.data), None)

    def held_out(self) -> Split:
        """Reads the validation texts as they are, for prediction."""
        return load_dataset(self.data).validation

    def batches(self) -> TrainBatches:
        """Returns the batches of a training."""
        return self._batches(self.word_dropout)

    @cached_property
    def example(self) -> int:
        """The step of the first epoch with the median number of distinct ids, no word dropped."""
        batches = self._batches(0.0)
        steps = np.arange(0, max(1, len(batches) - 1), max(1, len(batches) // 100))
        rows = table_rows(self.tokenized.tokenizer.vocab_size)
        counts = [(batches.batch(int(step)).distinct < rows).sum() for step in steps]
        return int(steps[np.argsort(counts)[len(counts) // 2]])

    def _batches(self, word_dropout: float) -> TrainBatches:
        split = self.tokenized.splits["train"]
        return TrainBatches(
            split.tokens,
            split.labels,
            batch_size=self.batch_size,
            seed=0,
            table_rows=table_rows(self.tokenized.tokenizer.vocab_size),
            word_dropout=word_dropout,
        )


def make_tokens(texts: Sequence[np.ndarray]) -> Tokens:
    """Returns the tokens of texts given as ids, int32 [length] each."""
    offsets = np.concatenate([[0], np.cumsum([len(ids) for ids in texts])]).astype(np.int64)
    return Tokens(np.concatenate(texts), offsets, 0)


def ids_and_mask(batch: Batch, length: int | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Returns ids int32 [B, length] (0 at padding) and the mask bool [B, length].

    Args:
        batch: on the host.
        length: what texts are padded or truncated to; by default the batch's own.
    """
    ids = np.where(batch.mask, batch.distinct[batch.inverse], 0)
    if length is None:
        return ids, batch.mask
    width = max(0, length - ids.shape[1])
    ids, mask = (np.pad(array, ((0, 0), (0, width))) for array in (ids, batch.mask))
    return ids[:, :length], mask[:, :length]
