"""From texts to token ids: WordPiece by Hugging Face `tokenizers`, or any tokenizer.json."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

from wave_jax.data.prefix import Cutter
from wave_jax.data.tokens import Tokens
from wave_jax.data.vocabulary import (
    LONGEST_WORD,
    SPECIAL_PIECES,
    learn_vocabulary,
    read_text,
    read_vocabulary,
    without_surrogates,
)
from wave_jax.errors import UserError

_SENTENCE_ENDS = (".", "!", "?")
_TEXTS_AT_ONCE = 2048
_CHARACTERS_AT_ONCE = 4_000_000
_UNHEARD_OF = "\ua66e \ua66e\ua66e."  # a letter that one manuscript has, in one word
_MOST_IDS = 8_000_000


class WordPiece:
    """Texts to token ids, each text as [CLS], its pieces, [SEP].

    '[CLS]' and the like inside a text are ordinary characters, so no text can forge them.

    >>> tokenizer = WordPiece.train(["Blue waves, blue sea."] * 2, vocab_size=100)
    >>> tokens = tokenizer.encode(["blue sea"], max_length=8)
    >>> tokenizer.tokens(tokens[0])
    ['[CLS]', 'blue', 'sea', '[SEP]']
    """

    vocab_size: int
    """Ids are 0 ... vocab_size - 1."""
    pad_id: int
    unk_id: int
    cls_id: int
    sep_id: int
    sentence_end_ids: tuple[int, ...]
    """Ids of '.', '!' and '?', as far as the vocabulary has them."""
    fingerprint: str
    """Digest of everything that decides how a text is cut into pieces."""

    def __init__(self, tokenizer: Tokenizer, origin: str = "tokenizer") -> None:
        """Wraps a tokenizer of the library; `origin` names it in errors.

        Raises:
            UserError: a special piece is missing, or the ids are spread too widely for a table.
        """
        missing = [piece for piece in SPECIAL_PIECES if tokenizer.token_to_id(piece) is None]
        if missing:
            raise UserError(
                f"{origin}: no {' '.join(missing)} among its pieces; "
                f"expected all of {' '.join(SPECIAL_PIECES)}"
            )
        vocabulary = tokenizer.get_vocab()
        self.vocab_size = max(vocabulary.values()) + 1
        if self.vocab_size > max(2 * len(vocabulary), len(vocabulary) + 10_000, 1) or (
            self.vocab_size > _MOST_IDS
        ):
            raise UserError(
                f"{origin}: {len(vocabulary)} pieces have ids up to {self.vocab_size - 1}; "
                f"expected ids without wide gaps, below {_MOST_IDS}"
            )
        self.pad_id, self.unk_id, self.cls_id, self.sep_id = (
            vocabulary[piece] for piece in SPECIAL_PIECES
        )
        self.sentence_end_ids = tuple(vocabulary[p] for p in _SENTENCE_ENDS if p in vocabulary)
        tokenizer.no_truncation()
        tokenizer.no_padding()
        tokenizer.encode_special_tokens = True
        self._tokenizer = tokenizer
        self._json = tokenizer.to_str()
        self._cutter = Cutter.for_tokenizer(json.loads(self._json))
        self.fingerprint = hashlib.blake2b(self._json.encode(), digest_size=16).hexdigest()

    @classmethod
    def train(
        cls, texts: Sequence[str], *, vocab_size: int = 30_522, lowercase: bool = True
    ) -> WordPiece:
        """Learns at most `vocab_size` pieces from the texts; equal texts give equal pieces."""
        return cls(_bert(learn_vocabulary(texts, vocab_size, lowercase=lowercase), lowercase))

    @classmethod
    def from_file(cls, path: str | os.PathLike[str], *, lowercase: bool = True) -> WordPiece:
        """Reads a tokenizer.json (by its ending) or else a vocab.txt in the manner of BERT.

        Args:
            path: the file.
            lowercase: fold case and strip accents; a tokenizer.json says so itself.

        Raises:
            UserError: the file is neither, or lacks a special piece.
        """
        path = Path(path)
        if path.suffix.lower() == ".json":
            return cls.from_json(read_text(path), origin=str(path))
        vocabulary = read_vocabulary(path)
        missing = [piece for piece in SPECIAL_PIECES if piece not in vocabulary]
        if missing:
            raise UserError(
                f"{path}: no line {' or '.join(missing)} among its {len(vocabulary)}; expected a "
                "vocab.txt with one piece a line, or a tokenizer.json"
            )
        return cls(_bert(vocabulary, lowercase), origin=str(path))

    @classmethod
    def from_json(cls, text: str, origin: str = "tokenizer.json") -> WordPiece:
        """Makes a tokenizer from the text of a tokenizer.json; UserError where it is not one."""
        try:
            tokenizer = Tokenizer.from_str(text)
            tokenizer.encode(_UNHEARD_OF)  # fails here where the unknown piece is none of its own
        except (KeyboardInterrupt, SystemExit):
            raise
        except BaseException as error:  # a panic of the library is no Exception
            reason = " ".join(str(error).split())[:200]
            raise UserError(f"{origin}: not a tokenizer.json: {reason}") from error
        return cls(tokenizer, origin)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> WordPiece:
        """Reads what `save` wrote."""
        return cls.from_json(read_text(Path(path)), origin=str(path))

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes a tokenizer.json, whole or not at all; `tokenizers` reads it as well."""
        target = Path(path)
        part = target.with_name(f".{target.name}.{os.getpid()}.part")
        try:
            part.write_text(self._json, encoding="utf-8")
            part.replace(target)
        finally:
            part.unlink(missing_ok=True)

    def to_json(self) -> str:
        """Returns the text of the tokenizer.json."""
        return self._json

    def encode(self, texts: Iterable[str], max_length: int) -> Tokens:
        """Tokenises the texts, many at a time in parallel threads.

        Args:
            texts: any strings; a lone surrogate counts as U+FFFD.
            max_length: most tokens of a text, [CLS] and [SEP] included; the rest is cut off.

        Raises:
            UserError: `max_length` leaves no room for a piece.
        """
        if max_length < 3:
            raise UserError(f"--data.max-length must be at least 3, got {max_length}")
        room = max_length - 2
        blocks = [np.zeros(0, np.int32)]
        lengths: list[int] = []
        cut = 0
        for block in _blocks(texts):
            flat: list[int] = []
            for pieces in self._pieces(block, room):
                cut += len(pieces) > room
                flat += (self.cls_id, *pieces[:room], self.sep_id)
                lengths.append(min(len(pieces), room) + 2)
            blocks.append(np.array(flat, np.int32))
        offsets = np.zeros(len(lengths) + 1, np.int64)
        np.cumsum(lengths, out=offsets[1:])
        return Tokens(np.concatenate(blocks), offsets, cut)

    def tokens(self, ids: Iterable[int]) -> list[str]:
        """Returns the pieces of the ids; ValueError for an id that is none."""
        pieces = []
        for index in ids:
            piece = self._tokenizer.id_to_token(int(index)) if index >= 0 else None
            if piece is None:
                raise ValueError(f"id {index} is not in the vocabulary of {self.vocab_size}")
            pieces.append(piece)
        return pieces

    def _pieces(self, texts: list[str], room: int) -> list[list[int]]:
        """Returns each text's piece ids: all of them, or some that are more than `room`."""
        texts = [self._cutter.shortened(text) for text in texts]
        found: list[list[int]] = [[] for _ in texts]
        waiting = list(range(len(texts)))
        bound = self._cutter.first_bound(room)
        while waiting:
            heads = [self._cutter.head(texts[i], bound) for i in waiting]
            encodings = self._tokenizer.encode_batch_fast(heads, add_special_tokens=False)
            again = []
            for i, head, encoding in zip(waiting, heads, encodings, strict=True):
                if head is not texts[i] and len(encoding) <= room + self._cutter.margin:
                    again.append(i)
                else:
                    found[i] = encoding.ids
            waiting, bound = again, 4 * bound
        return found


def _bert(vocabulary: dict[str, int], lowercase: bool) -> Tokenizer:
    model = models.WordPiece(vocabulary, unk_token="[UNK]", max_input_chars_per_word=LONGEST_WORD)
    tokenizer = Tokenizer(model)
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=lowercase)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.add_special_tokens(list(SPECIAL_PIECES))
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B [SEP]",
        special_tokens=[(piece, vocabulary[piece]) for piece in ("[CLS]", "[SEP]")],
    )
    return tokenizer


def _blocks(texts: Iterable[str]) -> Iterator[list[str]]:
    block: list[str] = []
    characters = 0
    for text in texts:
        block.append(text if text.isascii() else without_surrogates(text))
        characters += len(text)
        if len(block) == _TEXTS_AT_ONCE or characters >= _CHARACTERS_AT_ONCE:
            yield block
            block, characters = [], 0
    if block:
        yield block
