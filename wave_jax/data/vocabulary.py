"""A WordPiece vocabulary: learned from texts, or read from a vocab.txt."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, trainers

from wave_jax.errors import UserError

SPECIAL_PIECES = ("[PAD]", "[UNK]", "[CLS]", "[SEP]")
LONGEST_WORD = 100
"""Characters beyond which a word becomes [UNK] as a whole, as in BERT's tokenizers."""

_PREFIX = "##"
_TEXTS_AT_ONCE = 256
_REPEATS = 1000
_LEAST_SIZE = 16
_MIN_FREQUENCY = 2  # a piece seen once has nothing to learn from
_LONGEST_LINE = 1000


def learn_vocabulary(texts: Sequence[str], size: int, *, lowercase: bool = True) -> dict[str, int]:
    """Learns at most `size` WordPiece pieces: the same ones for the same texts, in any process.

    The trainer of `tokenizers` numbers the '##x' pieces in the order of a hash map and breaks
    ties between merges by these numbers, so that two runs differ. Given as special pieces, in
    sorted order, they have fixed numbers; words come counted and sorted. Characters too rare for
    a place are left out by (count, code point), since the trainer's own limit has random ties.

    Returns:
        Pieces to ids 0, 1, ...; [PAD] [UNK] [CLS] [SEP] are the first four.

    Raises:
        UserError: `size` is too small for any piece.
    """
    if size < _LEAST_SIZE:
        raise UserError(f"--data.vocab-size must be at least {_LEAST_SIZE}, got {size}")
    words = _count_words(texts, lowercase)
    first, later = _choose_characters(words, size - len(SPECIAL_PIECES))
    trainer = trainers.WordPieceTrainer(
        vocab_size=size,
        min_frequency=_MIN_FREQUENCY,
        show_progress=False,
        special_tokens=[*SPECIAL_PIECES, *(_PREFIX + character for character in later)],
        initial_alphabet=first,
        limit_alphabet=len(first),
    )
    learner = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    learner.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    learner.train_from_iterator(_repeated(words), trainer)
    pieces = sorted(learner.get_vocab().items(), key=lambda item: item[1])
    return {piece: index for index, (piece, _) in enumerate(pieces)}


def read_vocabulary(path: Path) -> dict[str, int]:
    """Reads a vocab.txt, one piece a line, the line's number being its id.

    Raises:
        UserError: the file cannot be read, is not such a list, or lacks a special piece.
    """
    lines = read_text(path).split("\n")  # not splitlines: U+2028 may be a piece
    lines = [line.rstrip("\r") for line in lines]
    while lines and not lines[-1]:
        lines.pop()
    vocabulary: dict[str, int] = {}
    for index, piece in enumerate(lines):
        if not piece or len(piece) > _LONGEST_LINE:
            what = "is empty" if not piece else f"has {len(piece)} characters"
            raise UserError(f"{path}: line {index + 1} {what}; expected one piece a line")
        if piece in vocabulary:
            raise UserError(
                f"{path}: lines {vocabulary[piece] + 1} and {index + 1} are both {piece!r}; "
                "expected every piece once"
            )
        vocabulary[piece] = index
    return vocabulary


def read_text(path: Path) -> str:
    """Reads a UTF-8 file, with or without a byte order mark; UserError where that fails."""
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise UserError(
            f"{path}: not UTF-8 text (byte {error.start}); expected a vocab.txt or tokenizer.json"
        ) from error
    except OSError as error:
        raise UserError(f"{path}: cannot read the vocabulary: {error.strerror}") from error


def without_surrogates(text: str) -> str:
    """Returns the text with lone surrogates, which no UTF-8 can hold, replaced by U+FFFD.

    >>> without_surrogates("a\\ud800b") == "a\\ufffdb"
    True
    """
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _count_words(texts: Sequence[str], lowercase: bool) -> Counter[str]:
    normalizer = normalizers.BertNormalizer(lowercase=lowercase)
    splitter = pre_tokenizers.BertPreTokenizer()
    runs: Counter[str] = Counter()
    for start in range(0, len(texts), _TEXTS_AT_ONCE):
        end = min(start + _TEXTS_AT_ONCE, len(texts))
        joined = "\n".join(texts[i] for i in range(start, end))
        runs.update(normalizer.normalize_str(without_surrogates(joined)).split())
    words: Counter[str] = Counter()
    for run, count in runs.items():
        for word, _ in splitter.pre_tokenize_str(run):
            if len(word) <= LONGEST_WORD:  # longer ones become [UNK] in any case
                words[word] += count
    return words


def _choose_characters(words: Counter[str], room: int) -> tuple[list[str], list[str]]:
    counts: Counter[str] = Counter()
    inside: set[str] = set()
    for word, count in words.items():
        for character in word:
            counts[character] += count
        inside.update(word[1:])
    room = min(room, max(1000, room // 2))  # leave half of a large vocabulary to words
    chosen: list[str] = []
    for character in sorted(counts, key=lambda c: (-counts[c], c)):
        room -= 2 if character in inside else 1
        if room < 0:
            break
        chosen.append(character)
    return sorted(chosen), sorted(inside.intersection(chosen))


def _repeated(words: Counter[str]) -> Iterator[str]:
    for word, count in sorted(words.items()):
        for start in range(0, count, _REPEATS):
            yield " ".join([word] * min(_REPEATS, count - start))
