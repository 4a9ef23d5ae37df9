"""Tokenised texts as two flat arrays, and the digest that tells one set of texts from another."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

_BLOCK = 8192  # texts hashed at once, so that their joined bytes stay small


@dataclass(frozen=True)
class Tokens:
    """Token ids of many texts, one after the other.

    Text i is `ids[offsets[i]:offsets[i + 1]]`: [CLS], its pieces, [SEP].

    >>> tokens = Tokens(np.array([2, 7, 3, 2, 3], np.int32), np.array([0, 3, 5]), cut=0)
    >>> len(tokens), tokens[0].tolist(), tokens.lengths.tolist()
    (2, [2, 7, 3], [3, 2])
    """

    ids: np.ndarray
    """int32 [total]."""
    offsets: np.ndarray
    """int64 [texts + 1]."""
    cut: int
    """Texts that were longer than the limit and lost their end."""

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def __getitem__(self, index: int) -> np.ndarray:
        """Returns the ids of one text, int32 [length]."""
        if not 0 <= index < len(self):
            raise IndexError(f"text {index} of {len(self)}")
        return self.ids[self.offsets[index] : self.offsets[index + 1]]

    @property
    def lengths(self) -> np.ndarray:
        """Tokens of each text, int64 [texts]."""
        return np.diff(self.offsets)


def texts_digest(texts: Sequence[str]) -> str:
    """Returns a digest of the texts and of where each one ends.

    >>> texts_digest(["ab", "c"]) == texts_digest(["a", "bc"])
    False
    """
    digest = hashlib.blake2b(digest_size=16)
    for start in range(0, len(texts), _BLOCK):
        block = [texts[i] for i in range(start, min(start + _BLOCK, len(texts)))]
        digest.update(np.fromiter(map(len, block), np.int64, len(block)).tobytes())
        digest.update("".join(block).encode("utf-8", "surrogatepass"))
    return digest.hexdigest()
