"""From texts to token ids: WordPiece by Hugging Face `tokenizers`, or any tokenizer.json."""

from __future__ import annotations

import hashlib
import itertools
import json
import os
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors, trainers

from wave_jax.data.streams import reading
from wave_jax.errors import UserError, one_line, shorten

SPECIAL_TOKENS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]")
_LONGEST_WORD = 100  # longer words become [UNK] as a whole, as in BERT's tokenizers
TEXTS_AT_ONCE = 2048
_RARE_WORD = "\ua66e \ua66e\ua66e."  # a letter that occurs in a single manuscript
_LEAST_SIZE = 16

# By BERT's rules white space, ASCII punctuation and Han characters end a word in any context
_WORD_END = re.compile("[ \t\n\r!-/:-@\\[-`{-~\u3400-\u4dbf\u4e00-\u9fff]")
_LEAST_PREFIX = 512  # characters
_CHARACTERS_PER_TOKEN = 8


@dataclass(frozen=True)
class Tokens:
    """Token ids of many texts, one after the other.

    Text i is `ids[offsets[i]:offsets[i + 1]]`, with `ids` int32 [total] and `offsets` int64
    [texts + 1]; `cut` counts the truncated texts.

    >>> tokens = Tokens(np.array([2, 7, 3, 2, 3], np.int32), np.array([0, 3, 5]), cut=0)
    >>> tokens[0].tolist(), tokens.lengths.tolist()
    ([2, 7, 3], [3, 2])
    """

    ids: np.ndarray
    offsets: np.ndarray
    cut: int

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def __getitem__(self, index: int) -> np.ndarray:
        """Returns the ids of one text, int32 [length]."""
        return self.ids[self.offsets[index] : self.offsets[index + 1]]

    @property
    def lengths(self) -> np.ndarray:
        """Number of tokens of each text, int64 [texts]."""
        return np.diff(self.offsets)


class WordPiece:
    """Turns texts into token ids: [CLS], the tokens of the text, [SEP].

    '[CLS]' and the like inside a text are ordinary characters, so that no text can forge them.

    Attributes:
      vocab_size: ids are 0 ... vocab_size - 1.
      pad_id, unk_id, cls_id, sep_id: ids of the special tokens.
      sentence_end_ids: ids of '.', '!' and '?', as far as the vocabulary has them.
      fingerprint: digest of everything that decides how a text is tokenized.

    >>> tokenizer = WordPiece.train(["Blue waves, blue sea."] * 2, vocab_size=100)
    >>> tokenizer.tokens(tokenizer.encode(["blue sea"], max_length=8)[0])
    ['[CLS]', 'blue', 'sea', '[SEP]']
    """

    def __init__(self, tokenizer: Tokenizer, origin: str = "tokenizer") -> None:
        """Wraps a tokenizer of the library; UserError if it lacks a special token."""
        vocabulary = tokenizer.get_vocab()
        _check_special_tokens(vocabulary, origin)
        self.vocab_size = max(vocabulary.values()) + 1
        if self.vocab_size > 2 * len(vocabulary) + 10_000:
            found = f"{len(vocabulary)} tokens have ids up to {self.vocab_size - 1}"
            raise UserError(f"{origin}: {found}; expected ids without wide gaps")
        self.pad_id, self.unk_id, self.cls_id, self.sep_id = (vocabulary[t] for t in SPECIAL_TOKENS)
        self.sentence_end_ids = tuple(vocabulary[t] for t in ".!?" if t in vocabulary)
        self._tokens = {index: token for token, index in vocabulary.items()}
        tokenizer.no_truncation()
        tokenizer.no_padding()
        tokenizer.encode_special_tokens = True
        self._tokenizer = tokenizer
        self._json = tokenizer.to_str()
        self._cuts_words_like_bert = _cuts_words_like_bert(json.loads(self._json))
        self.fingerprint = hashlib.blake2b(self._json.encode(), digest_size=16).hexdigest()

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        self._tokenizer.encode_special_tokens = True  # pickling drops it

    @classmethod
    def train(
        cls, texts: Sequence[str], *, vocab_size: int = 30_522, lowercase: bool = True
    ) -> WordPiece:
        """Learns at most `vocab_size` tokens, at least 16: the same ones for the same texts."""
        return cls(_bert(_learn_vocabulary(texts, vocab_size, lowercase), lowercase))

    @classmethod
    def from_file(cls, path: str | os.PathLike[str], *, lowercase: bool = True) -> WordPiece:
        """Reads a tokenizer.json (by its suffix), or else a vocab.txt like BERT's.

        `lowercase`, which also strips accents, is for a vocab.txt: a tokenizer.json decides itself.
        UserError if the file is neither, or lacks a special token.
        """
        path, origin = Path(path), str(path)
        with reading(origin):
            text = path.read_text(encoding="utf-8-sig")
        if path.suffix.lower() == ".json":
            return cls.from_json(text, origin)
        return cls(_bert(_parse_vocabulary(text, origin), lowercase), origin)

    @classmethod
    def from_json(cls, text: str, origin: str = "tokenizer.json") -> WordPiece:
        """Makes a tokenizer from the text of a tokenizer.json; UserError where it is not one."""
        try:
            tokenizer = Tokenizer.from_str(text)
            tokenizer.encode(_RARE_WORD)  # fails here if the unknown token is not in the vocabulary
        except (KeyboardInterrupt, SystemExit):
            raise
        except BaseException as error:  # a panic of the library is not an Exception
            raise UserError(f"{origin}: not a tokenizer.json: {one_line(error, 200)}") from error
        return cls(tokenizer, origin)

    def to_json(self) -> str:
        """Returns the text of the tokenizer.json."""
        return self._json

    def encode(self, texts: Sequence[str], max_length: int) -> Tokens:
        """Tokenizes the texts, in parallel threads; a lone surrogate counts as U+FFFD.

        Texts are truncated to `max_length` tokens, [CLS] and [SEP] included; UserError below 3.
        """
        if max_length < 3:
            raise UserError(f"--data.max-length must be at least 3, got {max_length}")
        starts = range(0, len(texts) or 1, TEXTS_AT_ONCE)
        blocks = [self._encode(texts[i : i + TEXTS_AT_ONCE], max_length - 2) for i in starts]
        offsets = np.cumsum(np.concatenate([[0], *(block.lengths for block in blocks)]))
        ids = np.concatenate([block.ids for block in blocks])
        return Tokens(ids, offsets, sum(block.cut for block in blocks))

    def longest(self, max_length: int) -> int:
        """Returns the most ids that a text can have where `max_length` truncates it."""
        return max_length

    def tokens(self, ids: Iterable[int]) -> list[str]:
        """Returns the tokens of the ids."""
        return [self._tokens[int(index)] for index in ids]

    def _encode(self, texts: Sequence[str], room: int) -> Tokens:
        """Tokenizes a few texts, with `room` for tokens between [CLS] and [SEP]."""
        flat, lengths, cut = list[int](), [0], 0
        for ids in self._first_ids([without_surrogates(text) for text in texts], room):
            cut += len(ids) > room
            flat += (self.cls_id, *ids[:room], self.sep_id)
            lengths.append(min(len(ids), room) + 2)
        return Tokens(np.array(flat, np.int32), np.cumsum(lengths), cut)

    def _first_ids(self, texts: list[str], room: int) -> list[list[int]]:
        """Returns all ids of each text, or its first ones, more than `room`.

        BERT's rules tokenize word by word, so that a prefix that ends with a word is enough: 0.6 of
        the time for reviews of 1,300 characters, and lines of 10 MB do not fill the memory.
        """
        if not self._cuts_words_like_bert:
            return self._ids(texts)
        bound = max(_LEAST_PREFIX, _CHARACTERS_PER_TOKEN * room)
        ends = [_WORD_END.search(text, bound) for text in texts]
        found = self._ids([t[: e.start()] if e else t for t, e in zip(texts, ends, strict=True)])
        short = [i for i, end in enumerate(ends) if end and len(found[i]) <= room]
        for i, ids in zip(short, self._ids([texts[i] for i in short]), strict=True):
            found[i] = ids
        return found

    def _ids(self, texts: list[str]) -> list[list[int]]:
        return [e.ids for e in self._tokenizer.encode_batch_fast(texts, add_special_tokens=False)]


def without_surrogates(text: str) -> str:
    """Returns the text with lone surrogates, which no UTF-8 can hold, replaced by U+FFFD.

    >>> without_surrogates("a\\ud800b") == "a\\ufffdb"
    True
    """
    if text.isascii():
        return text
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _learn_vocabulary(texts: Sequence[str], size: int, lowercase: bool) -> dict[str, int]:
    """Returns tokens and their ids 0, 1, ...: the same ones for the same texts, in any process.

    The trainer of `tokenizers` numbers the '##x' tokens in the order of a hash map and breaks ties
    between merges by these numbers, so that two runs differ: as sorted special tokens they have
    fixed ones. Characters too rare to keep are chosen here, as its own limit has random ties.
    """
    if size < _LEAST_SIZE:
        raise UserError(f"--data.vocab-size must be at least {_LEAST_SIZE}, got {size}")
    words = _count_words(texts, lowercase)
    first, later = _choose_characters(words, size - len(SPECIAL_TOKENS))
    trainer = trainers.WordPieceTrainer(
        vocab_size=size,
        min_frequency=2,  # a token seen once has nothing to learn from
        show_progress=False,
        special_tokens=[*SPECIAL_TOKENS, *(f"##{character}" for character in later)],
        initial_alphabet=first,
        limit_alphabet=len(first),
    )
    learner = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    learner.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    repeated = (
        " ".join([word] * min(1000, count - start))
        for word, count in sorted(words.items())
        for start in range(0, count, 1000)
    )
    learner.train_from_iterator(repeated, trainer)
    return dict(learner.get_vocab())


def _count_words(texts: Sequence[str], lowercase: bool) -> Counter[str]:
    normalizer = normalizers.BertNormalizer(lowercase=lowercase)
    splitter = pre_tokenizers.BertPreTokenizer()
    runs: Counter[str] = Counter()
    for start in range(0, len(texts), TEXTS_AT_ONCE):
        joined = "\n".join(texts[start : start + TEXTS_AT_ONCE])
        runs.update(normalizer.normalize_str(without_surrogates(joined)).split())
    words: Counter[str] = Counter()
    for run, count in runs.items():
        for word, _ in splitter.pre_tokenize_str(run):
            if len(word) <= _LONGEST_WORD:
                words[word] += count
    return words


def _choose_characters(words: Counter[str], room: int) -> tuple[list[str], list[str]]:
    """Returns the characters that begin and that continue a word, both sorted."""
    counts: Counter[str] = Counter()
    for word, count in words.items():
        for character in word:
            counts[character] += count
    inside = {character for word in words for character in word[1:]}
    room = min(room, max(1000, room // 2))  # leave half of a large vocabulary to words
    ordered = sorted(counts, key=lambda character: (-counts[character], character))
    used = itertools.accumulate(1 + (character in inside) for character in ordered)
    chosen = [character for character, total in zip(ordered, used, strict=True) if total <= room]
    return sorted(chosen), sorted(inside.intersection(chosen))


def _parse_vocabulary(text: str, origin: str) -> dict[str, int]:
    """Returns the tokens of a vocab.txt: one per line, whose id is the number of the line."""
    vocabulary: dict[str, int] = {}
    for index, token in enumerate(text.rstrip("\n").split("\n")):  # U+2028 may be a token
        if not 0 < len(token) <= 1000 or token in vocabulary:
            raise UserError(
                f"{origin}: line {index + 1} is {shorten(repr(token))}, which is empty, too long "
                "or there twice; expected one token per line"
            )
        vocabulary[token] = index
    _check_special_tokens(vocabulary, origin)
    return vocabulary


def _check_special_tokens(vocabulary: dict[str, int], origin: str) -> None:
    if missing := [token for token in SPECIAL_TOKENS if token not in vocabulary]:
        raise UserError(
            f"{origin}: no {' '.join(missing)} among its {len(vocabulary)} tokens; expected a "
            "tokenizer.json, or a vocab.txt with one token per line, that has all of "
            f"{' '.join(SPECIAL_TOKENS)}"
        )


def _cuts_words_like_bert(spec: dict[str, Any]) -> bool:
    """Returns whether `_WORD_END` ends a word by the rules of a tokenizer.json."""
    normalizer, splitter = spec.get("normalizer") or {}, spec.get("pre_tokenizer") or {}
    kinds = normalizer.get("type"), splitter.get("type")
    bert = kinds == ("BertNormalizer", "BertPreTokenizer") and normalizer["handle_chinese_chars"]
    return bert and all(token["special"] for token in spec.get("added_tokens") or ())


def _bert(vocabulary: dict[str, int], lowercase: bool) -> Tokenizer:
    model = models.WordPiece(vocabulary, unk_token="[UNK]", max_input_chars_per_word=_LONGEST_WORD)
    tokenizer = Tokenizer(model)
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=lowercase)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.add_special_tokens(list(SPECIAL_TOKENS))
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B [SEP]",
        special_tokens=[(token, vocabulary[token]) for token in ("[CLS]", "[SEP]")],
    )
    return tokenizer
