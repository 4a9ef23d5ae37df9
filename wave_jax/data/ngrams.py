"""Runs of words, and beginnings of words, as tokens of their own."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np

from wave_jax.data.tokenizer import TEXTS_AT_ONCE, Tokens, WordPiece
from wave_jax.errors import UserError

_MOST_NGRAMS = 5
_BREAK, _BEGINS, _CONTINUES = range(3)  # what a piece is: none of a word, its first, a later one
_MERGED = 1 << 22  # hashes that are collected before they are merged


class _Words(NamedTuple):
    """The words of many texts, one after the other."""

    texts: np.ndarray  # int64 [words], the text of each
    hashes: np.ndarray  # uint64 [words]
    follows: np.ndarray  # bool [words]: there is nothing between it and the word before
    ids: np.ndarray  # int32 [pieces], those of all words
    starts: np.ndarray  # int64 [words + 1], where in `ids` each word starts, and the last one ends


class NgramTokenizer(WordPiece):
    """Puts ids for runs of words, and for beginnings of words, behind the [SEP] of a `WordPiece`.

    These are known by 64-bit hashes of the pieces' ids or of the letters. A word begins at each
    piece without '##'; special tokens are no words, and no run goes across them. To `encode`,
    `max_length` counts pieces, [CLS] and [SEP] alone.

    Attributes:
      kept: uint64 [n-grams and stems], hashes, ascending; the id of `kept[i]` is `pieces + i`.
      pieces: number of ids of the `WordPiece`, to which `to_json` belongs too.

    >>> texts = ["the blue sea", "a blue sea"]
    >>> pieces = WordPiece.train(texts, vocab_size=100)
    >>> tokenizer = NgramTokenizer.learn(pieces, texts, 2, (3,), 8)
    >>> tokenizer.tokens(tokenizer.encode(["blue sea, blue"], max_length=8)[0])[-4:]
    ['[SEP]', 'blue sea', 'blu…', 'blu…']
    """

    def __init__(
        self, pieces: WordPiece, ngrams: int, stems: Sequence[int], kept: np.ndarray
    ) -> None:
        """Adds ids for runs of 2 ... `ngrams` words and first letters, `stems` many; UserError."""
        if not 1 <= ngrams <= _MOST_NGRAMS:
            raise UserError(f"--data.ngrams must be 1 to {_MOST_NGRAMS}, got {ngrams}")
        if min(stems, default=1) < 1:
            raise UserError(f"--data.stems must be at least 1 each, got {min(stems)}")
        super().__init__(pieces._tokenizer)
        self.pieces, self.kept = pieces.vocab_size, kept
        self._ngrams, self._stems = ngrams, sorted(set(stems))
        self.vocab_size = self.pieces + len(kept)
        known = repr((self.fingerprint, ngrams, stems)).encode() + kept.tobytes()
        self.fingerprint = hashlib.blake2b(known, digest_size=16).hexdigest()
        self._kinds = np.full(self.pieces, _BREAK, np.int8)
        for index, token in self._tokens.items():
            self._kinds[index] = _CONTINUES if token.startswith("##") else _BEGINS
        self._kinds[[self.pad_id, self.unk_id, self.cls_id, self.sep_id]] = _BREAK

    @classmethod
    def learn(
        cls, pieces: WordPiece, texts: Sequence[str], ngrams: int, stems: Sequence[int], length: int
    ) -> NgramTokenizer:
        """Keeps what at least two of the texts have, each truncated to `length` pieces."""
        bare = cls(pieces, ngrams, stems, np.zeros(0, np.uint64))
        found, fresh = bare.kept, [bare.kept]
        for start in range(0, len(texts), TEXTS_AT_ONCE):
            words = bare._words(pieces.encode(texts[start : start + TEXTS_AT_ONCE], length))
            first, _, hashes = bare._extras(words)
            _, once = np.unique(hashes ^ _mix(words.texts[first]), return_index=True)  # in a text
            fresh.append(hashes[once])
            if sum(map(len, fresh)) > _MERGED + len(found):
                found, fresh = _at_most_two(found, *fresh), []
        found = _at_most_two(found, *fresh)
        return cls(pieces, ngrams, stems, found[1:][found[1:] == found[:-1]])

    def longest(self, max_length: int) -> int:
        room = max_length - 2
        runs = sum(max(0, room - n + 1) for n in range(2, self._ngrams + 1))
        return max_length + runs + len(self._stems) * room

    def _encode(self, texts: Sequence[str], room: int) -> Tokens:
        block = super()._encode(texts, room)
        words = self._words(block)
        first, _, hashes = self._extras(words)
        places, known = self._find(hashes)
        extras = (self.pieces + places[known]).astype(np.int32)
        owners = (np.repeat(np.arange(len(block)), block.lengths), words.texts[first[known]])
        order = np.argsort(owner := np.concatenate(owners), kind="stable")
        offsets = np.cumsum([0, *np.bincount(owner, minlength=len(block))])
        return Tokens(np.concatenate([block.ids, extras])[order], offsets, block.cut)

    def tokens(self, ids: Iterable[int]) -> list[str]:
        """Returns the tokens of a text; an n-gram whose words are not there as '[NGRAM id]'."""
        found = np.fromiter(ids, np.int64)
        own = found[found < self.pieces]
        words = self._words(Tokens(own, np.array([0, len(own)]), 0))
        first, size, hashes = self._extras(words)
        places, known = self._find(hashes)
        names, letters = {}, self._letters(words, range(len(words.hashes)))
        for i, n, place in zip(first[known], size[known], places[known], strict=True):
            run = letters[i][:-n] + "…" if n < 0 else " ".join(letters[i : i + n])
            names[self.pieces + int(place)] = run
        names |= {int(index): self._tokens[int(index)] for index in own}
        return [names.get(index, f"[NGRAM {index}]") for index in found.tolist()]

    def _words(self, tokens: Tokens) -> _Words:
        kinds = self._kinds[tokens.ids]
        after_piece = np.append(False, kinds != _BREAK)[:-1]
        begins = (kinds == _BEGINS) | ((kinds == _CONTINUES) & ~after_piece)
        inside = np.flatnonzero(kinds)
        starts = np.append(np.flatnonzero(begins[inside]), len(inside))
        ids = tokens.ids[inside]
        place = np.arange(len(ids)) - np.repeat(starts[:-1], np.diff(starts))
        hashes = np.add.reduceat(np.append(_mix(ids, place), np.uint64(0)), starts)[:-1]
        texts = np.repeat(np.arange(len(tokens)), tokens.lengths)[begins]
        return _Words(texts, _mix(hashes), after_piece[begins], ids, starts)

    def _extras(self, words: _Words) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Returns the n-grams and stems that the texts have, by size and then in their order.

        Each has its first word, int64, its size, int64 (words, or minus the letters of a stem), and
        its hash, uint64.
        """
        found = [(np.zeros(0, np.int64), 0, np.zeros(0, np.uint64))]
        total, joined = _mix(words.hashes), np.ones(len(words.hashes), bool)
        for n in range(2, self._ngrams + 1):
            total = total[:-1] + _mix(words.hashes[n - 1 :], n)
            joined = joined[:-1] & words.follows[n - 1 :]
            first = np.flatnonzero(joined)
            found.append((first, n, _mix(total[first])))
        if self._stems:
            unique = np.unique(words.hashes, return_index=True, return_inverse=True)
            letters = self._letters(words, unique[1].tolist())
            for size in self._stems:
                coded = np.array([_stem(word[:size]) for word in letters], np.uint64)
                longer = np.array([len(word) > size for word in letters], bool)
                first = np.flatnonzero(longer[unique[2]])
                found.append((first, -size, coded[unique[2][first]]))
        firsts, sizes, hashes = zip(*found, strict=True)
        return np.concatenate(firsts), np.repeat(sizes, [*map(len, firsts)]), np.concatenate(hashes)

    def _find(self, hashes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Returns the places of the hashes in `kept`, and which of them are there."""
        places = np.searchsorted(self.kept, hashes)
        known = places < len(self.kept)
        known[known] = self.kept[places[known]] == hashes[known]
        return places, known

    def _letters(self, words: _Words, chosen: Iterable[int]) -> list[str]:
        spans = (words.ids[words.starts[i] : words.starts[i + 1]].tolist() for i in chosen)
        return ["".join(self._tokens[k].removeprefix("##") for k in span) for span in spans]


def _mix(values: np.ndarray, salt: Any = 0) -> np.ndarray:
    """Scrambles 64-bit numbers, each salt in its own way (the end of SplitMix64)."""
    x: np.ndarray = values.astype(np.uint64)
    x = x + np.atleast_1d(salt + 1).astype(np.uint64) * 0x9E3779B97F4A7C15
    x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9
    x = (x ^ (x >> 27)) * 0x94D049BB133111EB
    return x ^ (x >> 31)


def _stem(letters: str) -> int:
    digest = hashlib.blake2b(letters.encode(), digest_size=8, person=b"stem").digest()
    return int.from_bytes(digest, "little")


def _at_most_two(*hashes: np.ndarray) -> np.ndarray:
    """Returns the sorted hashes, of equal ones two."""
    found = np.sort(np.concatenate(hashes))
    return found[np.append([True] * 2, found[2:] != found[:-2])[: len(found)]]
