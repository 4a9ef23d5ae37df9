"""From a data set to token ids, through a cache on disk."""

from __future__ import annotations

import hashlib
import logging
import os
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import tokenizers

from wave_jax.data.config import DataConfig
from wave_jax.data.ngrams import NgramTokenizer
from wave_jax.data.streams import default_cache_dir
from wave_jax.data.tokenizer import Tokens, WordPiece

if TYPE_CHECKING:
    from wave_jax.data.dataset import Dataset, Split

_FORMAT = 2  # raised when cached arrays change their meaning

_log = logging.getLogger("wave_jax")


@dataclass(frozen=True)
class TokenizedSplit:
    """The token ids of one split, with its labels, int32 [texts]."""

    tokens: Tokens
    labels: np.ndarray


@dataclass(frozen=True)
class TokenizedDataset:
    """Tokenized splits ('train', 'validation', 'test'); `label_names` are in logit order."""

    tokenizer: WordPiece
    splits: dict[str, TokenizedSplit]
    label_names: tuple[str, ...]
    description: str  # one line on where the texts come from
    notes: tuple[str, ...] = ()  # lines on its classes and splits


def merge_validation(texts: TokenizedDataset) -> TokenizedDataset:
    """Returns a data set whose training split has the validation texts, too, after its own."""
    first, second = (texts.splits[name] for name in ("train", "validation"))
    ids = np.concatenate([first.tokens.ids, second.tokens.ids])
    offsets = [first.tokens.offsets, first.tokens.offsets[-1] + second.tokens.offsets[1:]]
    tokens = Tokens(ids, np.concatenate(offsets), first.tokens.cut + second.tokens.cut)
    merged = TokenizedSplit(tokens, np.concatenate([first.labels, second.labels]))
    return replace(texts, splits=texts.splits | {"train": merged})


def tokenize_dataset(
    config: DataConfig,
    dataset: Dataset,
    tokenizer: WordPiece | None = None,
    validation_too: bool = False,
) -> TokenizedDataset:
    """Tokenizes a data set with a given tokenizer, with that of `config.vocab`, or a learned one.

    It is learned from the training texts, and `validation_too`, as a refit needs it.

    UserError if the vocabulary or a size in the config cannot be used.
    """
    given = config.cache_dir
    folder = default_cache_dir() if given is None else Path(given).expanduser()
    if tokenizer is None:
        learned_from = [*dataset.train.texts, *(dataset.validation.texts if validation_too else ())]
        tokenizer = _make_tokenizer(config, learned_from, folder)
    splits = {
        name: _tokenize_split(getattr(dataset, name), tokenizer, config.max_length, folder)
        for name in ("train", "validation", "test")
    }
    names, description = dataset.label_names, dataset.description
    return TokenizedDataset(tokenizer, splits, names, description, dataset.notes)


def cached(
    folder: Path | None, key: str, make: Callable[[], Mapping[str, np.ndarray]]
) -> Mapping[str, np.ndarray]:
    """Returns the arrays kept in a folder under `key`, or makes and keeps them.

    The key says everything about how the arrays are made. An entry is an .npz file, whose checksums
    detect damage, written elsewhere and then moved, so that readers see a complete one or none. A
    cache must not stop a run: a damaged entry is made anew, and where nothing can be written
    nothing is kept, both with a warning. The folder need not exist; None keeps nothing.
    """
    if folder is None:
        return make()
    entry = folder / f"{key}.npz"
    try:
        with entry.open("rb") as file, np.load(file) as arrays:
            return dict(arrays)
    except (FileNotFoundError, NotADirectoryError):
        pass
    except Exception as error:  # whatever NumPy raises for a damaged file
        _log.warning(f"cache entry {entry} is damaged ({error}); making it anew")
    arrays = make()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder, prefix=".part-") as part:
            np.savez(Path(part, entry.name), **dict(arrays), allow_pickle=False)
            os.replace(Path(part, entry.name), entry)
    except OSError as error:
        _log.warning(f"cannot keep tokenized texts in {folder}: {error.strerror or error}")
    return arrays


def texts_digest(texts: Sequence[str]) -> str:
    """Returns a digest of the texts and of where each one ends.

    >>> texts_digest(["ab", "c"]) == texts_digest(["a", "bc"])
    False
    """
    digest = hashlib.blake2b(digest_size=16)
    for start in range(0, len(texts), 8192):
        block = texts[start : start + 8192]
        digest.update(np.fromiter(map(len, block), np.int64, len(block)).tobytes())
        digest.update("".join(block).encode("utf-8", "surrogatepass"))
    return digest.hexdigest()


def _make_tokenizer(config: DataConfig, texts: Sequence[str], folder: Path | None) -> WordPiece:
    pieces = _make_pieces(config, texts, folder)
    if not config.has_ngrams:
        return pieces
    sizes = config.ngrams, config.stems

    def learn() -> dict[str, np.ndarray]:
        return {"kept": NgramTokenizer.learn(pieces, texts, *sizes, config.max_length).kept}

    key = _key("ngrams", texts_digest(texts), pieces.fingerprint, sizes, config.max_length)
    return NgramTokenizer(pieces, *sizes, cached(folder, key, learn)["kept"])


def _make_pieces(config: DataConfig, texts: Sequence[str], folder: Path | None) -> WordPiece:
    if config.vocab is not None:
        return WordPiece.from_file(config.vocab, lowercase=config.lowercase)

    def learn() -> dict[str, np.ndarray]:
        learned = WordPiece.train(texts, vocab_size=config.vocab_size, lowercase=config.lowercase)
        return {"json": np.frombuffer(learned.to_json().encode(), np.uint8)}

    key = _key("tokenizer", texts_digest(texts), config.vocab_size, config.lowercase)
    return WordPiece.from_json(cached(folder, key, learn)["json"].tobytes().decode())


def _tokenize_split(
    split: Split, tokenizer: WordPiece, max_length: int, folder: Path | None
) -> TokenizedSplit:
    key = _key("tokens", texts_digest(split.texts), tokenizer.fingerprint, max_length)
    kept = cached(folder, key, lambda: vars(tokenizer.encode(split.texts, max_length)))
    tokens = Tokens(kept["ids"], kept["offsets"], int(kept["cut"]))
    return TokenizedSplit(tokens, np.asarray(split.labels, np.int32))


def _key(kind: str, *parts: object) -> str:
    described = repr((_FORMAT, tokenizers.__version__, *parts))
    return f"{kind}-{hashlib.blake2b(described.encode(), digest_size=16).hexdigest()}"
