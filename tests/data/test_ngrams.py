"""N-grams and stems against plain Python over strings, and what a run keeps of them."""

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wave_jax.data import ngrams as module
from wave_jax.data import tokenizer as tokenizer_module
from wave_jax.data.config import DataConfig
from wave_jax.data.dataset import Dataset, Split
from wave_jax.data.ngrams import NgramTokenizer
from wave_jax.data.tokenize import tokenize_dataset
from wave_jax.data.tokenizer import Tokens, WordPiece
from wave_jax.errors import UserError
from wave_jax.runs.files import load_tokenizer, save_tokenizer

LEARNED = [
    "The blue waves meet the blue shore. Waves of light!",
    "Wavelength, wavelengths: waves of light interfere; waves of sound do too!",
    "Éclair naïve café 東京 and ПРИВЕТ мир",
]
WORDS = ["the", "blue", "waves", "wavelength", "Wavelengths", "of", "light", "café", "東京", "🌊"]
WORDS += [".", "wav", "привет", "\u0301", "x" * 10_000, "blueshore", "##s", "[SEP]"]
some_texts = st.lists(st.lists(st.sampled_from(WORDS), max_size=9).map(" ".join), max_size=7)
SPECIAL = {"[CLS]", "[SEP]", "[UNK]", "[PAD]"}


@pytest.fixture(scope="module")
def pieces():
    return WordPiece.train(LEARNED * 2, vocab_size=90)


def runs_of(tokens):
    """The words between special tokens, each a tuple of its pieces."""
    runs = [[]]
    for token in tokens:
        if token in SPECIAL:
            runs.append([])
        elif token.startswith("##") and runs[-1]:
            runs[-1][-1] += (token,)
        else:
            runs[-1].append((token,))
    return runs


def letters(word):
    return "".join(piece.removeprefix("##") for piece in word)


def extras(tokens, ngrams, stems):
    """What a text has besides its pieces: by size, each in the text's order."""
    runs, found = runs_of(tokens), []
    for n in range(2, ngrams + 1):
        found += [tuple(run[i : i + n]) for run in runs for i in range(len(run) - n + 1)]
    for size in sorted(set(stems)):
        words = [letters(word) for run in runs for word in run]
        found += [word[:size] for word in words if len(word) > size]
    return found


def spelled(extra):
    return f"{extra}…" if isinstance(extra, str) else " ".join(map(letters, extra))


@settings(max_examples=150)
@given(
    learned=some_texts,
    texts=some_texts,
    ngrams=st.integers(1, 5),
    stems=st.lists(st.integers(1, 8), max_size=3),
    max_length=st.integers(3, 24),
    at_once=st.integers(1, 4),
)
def test_ids_are_those_of_plain_python(pieces, learned, texts, ngrams, stems, max_length, at_once):
    def tokens(text):
        return pieces.tokens(pieces.encode([text], max_length)[0])

    counts = Counter(e for text in learned for e in set(extras(tokens(text), ngrams, stems)))
    kept = {extra for extra, count in counts.items() if count >= 2}
    with pytest.MonkeyPatch.context() as patch:
        for where in (module, tokenizer_module):
            patch.setattr(where, "TEXTS_AT_ONCE", at_once)
        patch.setattr(module, "_MERGED", 1)
        tokenizer = NgramTokenizer.learn(pieces, learned, ngrams, stems, max_length)
        encoded = tokenizer.encode(texts, max_length)
    assert len(tokenizer.kept) == len(kept)
    assert tokenizer.vocab_size == pieces.vocab_size + len(kept)
    plain = pieces.encode(texts, max_length)
    assert encoded.cut == plain.cut
    assert (encoded.ids.dtype, encoded.offsets.dtype) == (np.int32, np.int64)
    ids = {}
    for i, text in enumerate(texts):
        own = encoded[i].tolist()
        assert own[: plain.lengths[i]] == plain[i].tolist()
        expected = [e for e in extras(tokens(text), ngrams, stems) if e in kept]
        assert tokenizer.tokens(own) == [*tokens(text), *map(spelled, expected)]
        for index, extra in zip(own[plain.lengths[i] :], expected, strict=True):
            assert ids.setdefault(index, extra) == extra  # everywhere the same
        assert len(own) <= tokenizer.longest(max_length)
    assert len(set(ids.values())) == len(ids)


@pytest.mark.parametrize("ngrams", [1, 2, 5])
@pytest.mark.parametrize("stems", [(), (1, 3)])
def test_no_text_is_longer_and_one_is_as_long(pieces, ngrams, stems):
    text = "light " * 40
    tokenizer = NgramTokenizer.learn(pieces, [text] * 2, ngrams, stems, 20)
    for max_length in (3, 4, 20):
        assert len(tokenizer.encode([text], max_length)[0]) == tokenizer.longest(max_length)
    assert pieces.longest(20) == 20


@pytest.mark.parametrize(
    "text", ["", " \n", "🌊", "🌊 " * 50, "a" * 10_000, "東京" * 40, "\ud800", "\0"]
)
def test_odd_texts(pieces, text):
    tokenizer = NgramTokenizer.learn(pieces, [text, text, *LEARNED], 3, (2,), 32)
    found = tokenizer.encode([text, "the blue", text], 32)
    assert found[0].tolist() == found[2].tolist()
    assert len(tokenizer.tokens(found[0])) == len(found[0])
    assert tokenizer.encode([], 32).lengths.tolist() == []
    with pytest.raises(UserError, match="--data.max-length must be"):
        tokenizer.encode([], 2)


def test_a_stem_is_no_word_and_unknown_ids_have_a_number(pieces):
    tokenizer = NgramTokenizer.learn(pieces, ["wavelength wav"] * 2, 2, (3,), 32)
    (text,) = (tokenizer.encode(["wavelength wav"], 32)[0],)
    assert tokenizer.tokens(text)[-2:] == ["wavelength wav", "wav…"]
    assert tokenizer.tokens(text[-1:]) == [f"[NGRAM {text[-1]}]"]
    assert tokenizer.tokens([]) == []
    assert tokenizer.to_json() == pieces.to_json()
    assert tokenizer.sep_id == pieces.sep_id


def test_equal_hashes_count_across_many_merges(monkeypatch):
    generator = np.random.default_rng(0)
    monkeypatch.setattr(module, "_MERGED", 50)
    drawn = [np.unique(generator.integers(0, 400, 30)).astype(np.uint64) for _ in range(60)]
    found = np.zeros(0, np.uint64)
    for block in drawn:
        found = module._at_most_two(found, block)
    counts = Counter(number for block in drawn for number in block.tolist())
    assert Counter(found.tolist()) == {number: min(count, 2) for number, count in counts.items()}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"ngrams": 0}, "--data.ngrams must be 1 to 5, got 0"),
        ({"ngrams": 6}, "--data.ngrams must be 1 to 5, got 6"),
        ({"stems": (4, 0)}, "--data.stems must be at least 1 each, got 0"),
    ],
)
def test_sizes_are_checked(tmp_path, options, message):
    with pytest.raises(UserError, match=message):
        tokenize_dataset(config(tmp_path, **options), dataset())


def config(folder, **options):
    return DataConfig(cache_dir=str(folder / "cache"), vocab_size=60, max_length=16, **options)


def dataset():
    split = Split(LEARNED * 2, np.arange(6, dtype=np.int32) % 2)
    return Dataset(("a", "b"), split, split, split, "texts")


def test_only_whoever_asks_gets_ngrams(tmp_path):
    plain = tokenize_dataset(config(tmp_path), dataset())
    assert type(plain.tokenizer) is WordPiece
    rich = tokenize_dataset(config(tmp_path, ngrams=2, stems=(4,)), dataset())
    assert rich.tokenizer.vocab_size > plain.tokenizer.vocab_size
    for name, split in rich.splits.items():
        assert split.tokens.cut == plain.splits[name].tokens.cut
        assert split.tokens.ids.max() >= plain.tokenizer.vocab_size


def test_what_was_learned_comes_from_the_cache(tmp_path, monkeypatch):
    asked = config(tmp_path, ngrams=3, stems=(2,))
    first = tokenize_dataset(asked, dataset())
    others = [
        replace(asked, ngrams=2),
        replace(asked, stems=(3,)),
        replace(asked, max_length=8),
        replace(asked, lowercase=False),
    ]
    made = [tokenize_dataset(other, dataset()).tokenizer.fingerprint for other in others]
    assert len({first.tokenizer.fingerprint, *made}) == 5

    def never(*args, **options):
        raise AssertionError("done although it was kept")

    monkeypatch.setattr(NgramTokenizer, "learn", never)
    monkeypatch.setattr(NgramTokenizer, "encode", never)
    again = tokenize_dataset(asked, dataset())
    assert again.tokenizer.fingerprint == first.tokenizer.fingerprint
    assert again.splits["train"].tokens.ids.tolist() == first.splits["train"].tokens.ids.tolist()


def test_a_run_keeps_its_tokenizer(pieces, tmp_path):
    asked = config(tmp_path, ngrams=2, stems=(3, 5))
    tokenizer = NgramTokenizer.learn(pieces, LEARNED * 2, 2, (3, 5), 16)
    save_tokenizer(tmp_path, tokenizer)
    again = load_tokenizer(tmp_path, asked)
    assert again.fingerprint == tokenizer.fingerprint
    assert again.encode(LEARNED, 16).ids.tolist() == tokenizer.encode(LEARNED, 16).ids.tolist()
    assert type(load_tokenizer(tmp_path, config(tmp_path))) is WordPiece
    (tmp_path / "plain").mkdir()
    save_tokenizer(tmp_path / "plain", pieces)
    assert [path.name for path in (tmp_path / "plain").iterdir()] == ["tokenizer.json"]
    with pytest.raises(UserError, match="cannot be read as this network's n-grams.*No such file"):
        load_tokenizer(tmp_path / "plain", asked)


def test_tokenizer_json_comes_last(pieces, tmp_path, monkeypatch):
    """It stands for all files, so that a run stopped between them writes them again."""
    tokenizer = NgramTokenizer.learn(pieces, LEARNED * 2, 2, (), 16)
    written = []
    monkeypatch.setattr(
        "wave_jax.runs.files.write_whole", lambda path, _: written.append(path.name)
    )
    save_tokenizer(tmp_path, tokenizer)
    assert written == ["ngrams.npz", "tokenizer.json"]


def test_damaged_ngrams_are_refused_in_one_line(pieces, tmp_path):
    asked = config(tmp_path, ngrams=2)
    save_tokenizer(tmp_path, NgramTokenizer.learn(pieces, LEARNED * 2, 2, (), 16))
    path = tmp_path / "ngrams.npz"
    whole = path.read_bytes()
    damaged = [b"", b"PK\x03\x04", whole[:-30], whole.replace(b"kept", b"lost")]
    flipped = bytearray(whole)
    flipped[len(whole) // 2] ^= 1
    damaged.append(bytes(flipped))
    arrays = [np.array([3, 1], np.uint64), np.ones((1, 1), np.uint64), np.arange(3), np.array([{}])]
    for array in arrays:
        np.savez(path, kept=array)
        damaged.append(path.read_bytes())
    for content in damaged:
        path.write_bytes(content)
        with pytest.raises(UserError, match="cannot be read as this network's n-grams") as caught:
            load_tokenizer(tmp_path, asked)
        assert "\n" not in str(caught.value)


@pytest.fixture
def lettered(tmp_path):
    """Words are letters, so that some differ by their order alone."""
    lines = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "a", "##b", "##c", "x"]
    (tmp_path / "vocab.txt").write_text("\n".join(lines))
    return WordPiece.from_file(tmp_path / "vocab.txt")


def test_the_order_of_pieces_and_of_words_matters(lettered):
    apart = ["abc x", "acb x", "x abc", "a x", "x ab c", "x acb"]
    assert len(NgramTokenizer.learn(lettered, apart, 2, (), 16).kept) == 0
    assert len(NgramTokenizer.learn(lettered, [*apart, "x abc"], 2, (), 16).kept) == 1


def test_continuations_behind_special_tokens_are_words(lettered):
    """A tokenizer by other rules may have them."""
    tokenizer = NgramTokenizer(lettered, 2, (), np.zeros(0, np.uint64))
    words = tokenizer._words(Tokens(np.array([5, 1, 6, 5, 7], np.int32), np.array([0, 5]), 0))
    assert words.starts.tolist() == [0, 1, 3, 4]
    assert words.follows.tolist() == [False, False, True]
