"""Which texts a vocabulary hardly knows, whether or not it has their characters."""

from __future__ import annotations

import numpy as np
import pytest

from wave_jax.data.ngrams import NgramTokenizer
from wave_jax.data.tokenizer import WordPiece
from wave_jax.inference.unknown import UnknownWords

ENGLISH = [
    "A ship sails on the blue sea, deep and salt.",
    "The grass on the hill is green; a barn stands in the field.",
    "Clouds and wind, the moon and a star in the high sky.",
] * 20
RUSSIAN = "Это обычный русский текст о погоде и о море, в нём есть слова."
CHINESE = "今天天气很好,我们去海边散步。"
GREEK = "Η θάλασσα είναι μπλε σήμερα και ο ουρανός επίσης"


def _mostly(tokenizer: WordPiece, texts: list[str]) -> list[bool]:
    tokens = tokenizer.encode(texts, 64)
    found: list[bool] = UnknownWords(tokenizer).mostly(tokens, texts).tolist()
    return found


@pytest.mark.parametrize("ngrams", [False, True])
@pytest.mark.parametrize("seen", [False, True])
def test_other_scripts_are_told_whether_or_not_their_letters_were_seen(
    seen: bool, ngrams: bool
) -> None:
    texts = [*ENGLISH, *(" ".join(text) for text in (RUSSIAN, CHINESE, GREEK, GREEK.upper()))]
    extra = [" ".join(f"w{chr(97 + i // 26)}{chr(97 + i % 26)}x" for i in range(300))] * 2
    inside = [f"x{letter}" for letter in sorted(set("".join(texts)))]  # letters that go on a word
    learned = [*texts, *extra, *inside, "12, 34!"] if seen else ENGLISH
    tokenizer = WordPiece.train(learned, vocab_size=2000)
    if ngrams:
        tokenizer = NgramTokenizer.learn(tokenizer, learned, 2, (3,), 64)
    new = [RUSSIAN, CHINESE, GREEK, ENGLISH[0], "The sails, the hill", "12, 34!", ""]
    if seen:
        assert tokenizer.unk_id not in tokenizer.encode(new[:5], 64).ids
        # Han characters are words of their own to WordPiece, and so known once they were seen
        assert _mostly(tokenizer, new) == [True, False, True, False, False, False, False]
    else:
        assert _mostly(tokenizer, new)[:5] == [True, True, True, False, False]


def test_chinese_is_known_to_a_run_in_chinese() -> None:
    rng, words = np.random.default_rng(0), [chr(0x4E00 + i) for i in range(400)]
    texts = ["".join(rng.choice(words, 20)) + " made in China by IBM" for _ in range(200)]
    assert not any(_mostly(WordPiece.train(texts, vocab_size=2000), texts))


def test_punctuation_that_was_never_seen_makes_no_text_unknown() -> None:
    tokenizer = WordPiece.train(ENGLISH, vocab_size=200)
    texts = [f"{ENGLISH[0].split()[0]} ?!?! :-)", "\N{GRINNING FACE} " * 3]
    assert tokenizer.unk_id in tokenizer.encode(texts[:1], 64).ids
    assert _mostly(tokenizer, texts) == [False, True]


def test_bad_bytes_are_told() -> None:
    tokenizer = WordPiece.train(ENGLISH, vocab_size=200)
    wrong = RUSSIAN.encode("cp1251").decode("utf-8", "replace")
    assert _mostly(tokenizer, [wrong, "the sea\ufffd"]) == [True, False]
    assert _mostly(tokenizer, []) == []
