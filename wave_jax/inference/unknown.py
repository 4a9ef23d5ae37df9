"""Texts in a language, or an encoding, that a run has hardly met."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from tokenizers import Tokenizer

from wave_jax.data.tokenizer import Tokens, WordPiece


class UnknownWords:
    """Tells which texts are mostly unknown to a vocabulary.

    WordPiece has [UNK] only for characters that it never saw; other words fall into pieces, at
    worst into letters. A word is unknown where it is [UNK], or falls into two or more pieces, each
    a single letter. Numbers and punctuation are no words, nor is [UNK] in ASCII. A text is mostly
    unknown where more than half of its words are, or of its characters U+FFFD, which stands for bad
    bytes. So another script or encoding is told, not another language in the same letters: its
    words fall into longer pieces.

    >>> texts = ["The blue sea."] * 2
    >>> unknown = UnknownWords(tokenizer := WordPiece.train(texts, vocab_size=100))
    >>> new = ["See the sea!", "Синее море"]
    >>> unknown.mostly(tokenizer.encode(new, 16), new).tolist()
    [False, True]
    """

    def __init__(self, tokenizer: WordPiece) -> None:
        vocabulary = Tokenizer.from_str(tokenizer.to_json()).get_vocab()  # without n-grams
        kinds = np.zeros((3, tokenizer.vocab_size), bool)
        self._begins, self._words, self._long = kinds
        for token, index in vocabulary.items():
            letters = token.removeprefix("##")
            kinds[:, index] = letters == token, token[:1].isalpha(), len(letters) > 1
        self._unk_id = tokenizer.unk_id

    def mostly(self, tokens: Tokens, texts: Sequence[str]) -> np.ndarray:
        """Returns which of the texts, whose tokens are given, are mostly unknown, bool [texts]."""
        ids, starts = tokens.ids, np.flatnonzero(self._begins[tokens.ids])
        pieces, long = np.diff(starts, append=len(ids)), self._long[ids]
        fallen = (pieces > 1) & ~np.logical_or.reduceat(long, starts)
        owners = np.searchsorted(tokens.offsets, starts, side="right") - 1
        unseen = ids[starts] == self._unk_id  # in ASCII it is punctuation
        unseen &= ~np.array([text.isascii() for text in texts], bool)[owners]
        words = self._words[ids[starts]] | unseen
        unknown = words & (fallen | unseen)
        total, bad = (np.bincount(owners, of, len(tokens)) for of in (words, unknown))
        lost = [not text.isascii() and 2 * text.count("\ufffd") > len(text) for text in texts]
        return np.asarray((2 * bad > total) | np.array(lost, bool))
