"""From a corpus to token ids, through the cache."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import tokenizers

from wave_jax.data.cache import ArrayCache, Notice, default_cache_dir, log_notice
from wave_jax.data.config import DataConfig
from wave_jax.data.tokenizer import WordPiece
from wave_jax.data.tokens import Tokens, texts_digest

if TYPE_CHECKING:
    from wave_jax.data.dataset import Dataset, Split

_FORMAT = 1  # raised when cached arrays change their meaning


@dataclass(frozen=True)
class TokenizedSplit:
    """The texts of one split as ids, with their labels."""

    tokens: Tokens
    labels: np.ndarray
    """int32 [texts]."""


@dataclass(frozen=True)
class TokenizedDataset:
    """Tokenized splits with their tokenizer and classes, ready for batches.

    Attributes:
        tokenizer: the tokenizer of all splits.
        splits: 'train', 'validation' and 'test'.
        label_names: names of the classes, in the order of the logits.
        description: where the texts come from, one line.
    """

    tokenizer: WordPiece
    splits: dict[str, TokenizedSplit]
    label_names: tuple[str, ...]
    description: str

    @property
    def texts_cut(self) -> dict[str, int]:
        """Texts truncated to the largest number of tokens allowed, by split."""
        return {name: split.tokens.cut for name, split in self.splits.items()}

    @property
    def majority_share(self) -> float:
        """Share of the test texts that have the class most frequent among them."""
        labels = self.splits["test"].labels
        return float(np.bincount(labels).max() / len(labels))


def tokenize_dataset(
    config: DataConfig,
    corpus: Dataset,
    tokenizer: WordPiece | None = None,
    *,
    notice: Notice = log_notice,
) -> TokenizedDataset:
    """Tokenises a corpus, with a tokenizer given, read from `config.vocab` or learned from it.

    Args:
        config: the source's settings.
        corpus: what `load_corpus` returned.
        tokenizer: the tokenizer of an earlier run, to be used instead of `config`'s.
        notice: receives a line where the cache is broken or cannot be written.

    Raises:
        UserError: the vocabulary or a size in the config cannot be used.
    """
    if tokenizer is None:
        tokenizer = make_tokenizer(config, corpus.train.texts, notice=notice)
    splits = {
        name: tokenize_split(config, split, tokenizer, notice=notice)
        for name, split in (
            ("train", corpus.train),
            ("validation", corpus.validation),
            ("test", corpus.test),
        )
    }
    return TokenizedDataset(tokenizer, splits, corpus.label_names, corpus.description)


def make_tokenizer(
    config: DataConfig, texts: Sequence[str], *, notice: Notice = log_notice
) -> WordPiece:
    """Reads the tokenizer from `config.vocab`, or learns one from the texts (or the cache)."""
    if config.vocab is not None:
        return WordPiece.from_file(config.vocab, lowercase=config.lowercase)

    def learn() -> dict[str, np.ndarray]:
        learned = WordPiece.train(texts, vocab_size=config.vocab_size, lowercase=config.lowercase)
        return {"json": np.frombuffer(learned.to_json().encode(), np.uint8)}

    key = _key("tokenizer", texts_digest(texts), config.vocab_size, config.lowercase)
    kept = _cache(config, notice).fetch(key, learn)
    return WordPiece.from_json(kept["json"].tobytes().decode())


def tokenize_split(
    config: DataConfig, split: Split, tokenizer: WordPiece, *, notice: Notice = log_notice
) -> TokenizedSplit:
    """Tokenises one split, or finds its ids in the cache."""

    def encode() -> dict[str, np.ndarray]:
        tokens = tokenizer.encode(split.texts, config.max_length)
        return {"ids": tokens.ids, "offsets": tokens.offsets, "cut": np.array(tokens.cut)}

    key = _key("tokens", texts_digest(split.texts), tokenizer.fingerprint, config.max_length)
    kept = _cache(config, notice).fetch(key, encode)
    tokens = Tokens(kept["ids"], kept["offsets"], int(kept["cut"]))
    return TokenizedSplit(tokens, np.asarray(split.labels, np.int32))


def _cache(config: DataConfig, notice: Notice) -> ArrayCache:
    return ArrayCache(config.cache_dir or default_cache_dir(), notice)


def _key(kind: str, *parts: object) -> str:
    described = repr((_FORMAT, tokenizers.__version__, *parts))
    return f"{kind}-{hashlib.blake2b(described.encode(), digest_size=16).hexdigest()}"
