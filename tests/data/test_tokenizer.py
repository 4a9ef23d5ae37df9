"""Tokens against an independent WordPiece, the library's own BERT tokenizer, and hostile text."""

import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, models, pre_tokenizers, trainers
from tokenizers.implementations import BertWordPieceTokenizer

from tests.real_data import DATA
from wave_jax.data import tokenizer as module
from wave_jax.data.tokenizer import WordPiece, without_surrogates
from wave_jax.errors import UserError

TEXTS = [
    "The blue waves meet the shore. Do they interfere?",
    "Waves of light interfere; waves of sound do too!",
    "Modulation multiplies, interference adds: two waves, one wave.",
    "Éclair, naïve café — 東京 and ПРИВЕТ мир, 123 456.",
]
SPECIALS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"]


@pytest.fixture(scope="module")
def tokenizer():
    return WordPiece.train(TEXTS * 2, vocab_size=300)


def whole(tokenizer, text):
    """All tokens of a text at once, by the library alone."""
    return tokenizer._tokenizer.encode(text, add_special_tokens=False).ids


def greedy_tokens(vocabulary, word):
    """WordPiece by its definition: the longest token that fits, from the left."""
    tokens, start = [], 0
    while start < len(word):
        for end in range(len(word), start, -1):
            token = ("##" if start else "") + word[start:end]
            if token in vocabulary:
                break
        else:
            return ["[UNK]"]
        tokens.append(token)
        start = end
    return tokens


def test_tokens_are_the_longest_that_fit(tokenizer):
    vocabulary = set(tokenizer._tokenizer.get_vocab())
    words = ["the", "waves", "interfere", "modulations", "zebra", "multiplied", "xylophone"]
    expected = ["[CLS]", *(p for w in words for p in greedy_tokens(vocabulary, w)), "[SEP]"]
    assert tokenizer.tokens(tokenizer.encode([" ".join(words)], 128)[0]) == expected


def test_special_tokens_come_first_and_ids_are_dense(tokenizer):
    assert [tokenizer.pad_id, tokenizer.unk_id, tokenizer.cls_id, tokenizer.sep_id] == [0, 1, 2, 3]
    tokens = tokenizer.tokens(range(tokenizer.vocab_size))
    assert len(set(tokens)) == tokenizer.vocab_size <= 300
    assert [tokens[i] for i in tokenizer.sentence_end_ids] == [".", "!", "?"]


def test_training_gives_the_same_tokens_in_every_process():
    code = (
        "from wave_jax.data.tokenizer import WordPiece\n"
        "words = [f'{a}{b}{c}' for a in 'abcdefgh' for b in 'ijklmnop' for c in 'qrstuvwx']\n"
        "texts = [' '.join(words[i::7]) for i in range(7)]\n"
        "print(WordPiece.train(texts * 2, vocab_size=200).fingerprint)"
    )
    runs = [subprocess.run([sys.executable, "-c", code], capture_output=True) for _ in range(4)]
    assert all(run.returncode == 0 for run in runs)
    assert len({run.stdout for run in runs}) == 1  # ties everywhere: the plain trainer differs


@pytest.mark.parametrize("size", [16, 40, 100, 5000])
def test_vocabulary_stays_within_its_size(size):
    wide = "".join(chr(0x4E00 + i) + " " for i in range(3000))
    assert WordPiece.train([*TEXTS, wide], vocab_size=size).vocab_size <= size


def test_lone_surrogates_count_as_replacement_characters(tokenizer):
    assert without_surrogates("a\ud83c\udf0a\udf0a\ud83cb") == "a🌊\ufffd\ufffdb"
    found = tokenizer.encode(["wa\ud800ves", "wa\ufffdves"], 16)
    assert found[0].tolist() == found[1].tolist()


def test_training_without_words_and_with_too_few_places():
    assert WordPiece.train(["", " \n "], vocab_size=100).vocab_size == 4
    with pytest.raises(UserError, match="--data.vocab-size must be at least 16"):
        WordPiece.train(TEXTS, vocab_size=4)


def test_training_does_not_stall_on_an_endless_word():
    assert WordPiece.train(["x" * 1_000_000, *TEXTS], vocab_size=100).vocab_size <= 100


def test_case_is_folded_only_on_demand():
    folded = WordPiece.train(["Wave Wave"], vocab_size=50, lowercase=True)
    kept = WordPiece.train(["Wave Wave"], vocab_size=50, lowercase=False)
    assert folded.tokens(folded.encode(["Wave"], 9)[0])[1] == "wave"
    assert kept.tokens(kept.encode(["Wave"], 9)[0])[1] == "Wave"


def test_truncated_texts_are_counted_and_keep_their_ends(tokenizer):
    tokens = tokenizer.encode(["waves " * 6, "waves " * 5, "", "wave"], 7)
    assert tokens.cut == 1
    assert tokens.lengths.tolist() == [7, 7, 2, 3]
    assert tokens.ids.dtype == np.int32
    assert tokens.offsets.dtype == np.int64
    for i in range(4):
        assert tokens[i][0] == tokenizer.cls_id
        assert tokens[i][-1] == tokenizer.sep_id
    assert len(tokenizer.encode([], 7)) == 0
    with pytest.raises(UserError, match="--data.max-length must be"):
        tokenizer.encode(["a"], 2)


def test_special_tokens_in_a_text_are_ordinary_characters(tokenizer):
    ids = tokenizer.encode(["[SEP] waves [CLS] [PAD] [MASK]"], 64)[0]
    assert not {tokenizer.cls_id, tokenizer.sep_id, tokenizer.pad_id} & set(ids[1:-1].tolist())


any_text = st.text(st.characters(min_codepoint=0, max_codepoint=0x10FFFF, categories=None))
letters = [
    "é",
    "e\u0301",
    "東",
    "ß",
    "İ",
    "Σ",
    "한",
    "ﬁ",
    "🌊",
    "\u0301",
    "waves",
    "x" * 120,
    "##a",
]
others = [" ", "\n", "[SEP]", "。", ".", "-", "\0", "\ud800", "\u200b", "\u2028", "\ufffd", "\xa0"]
fragments = st.sampled_from(letters + others)
texts = st.one_of(any_text, st.lists(fragments, max_size=40).map("".join))


@settings(max_examples=300, deadline=None)
@given(text=texts, room=st.integers(1, 12), bound=st.integers(1, 16))
def test_tokenising_a_head_gives_the_same_as_the_whole(tokenizer, text, room, bound):
    clean = without_surrogates(text)
    expected = [tokenizer.cls_id, *whole(tokenizer, clean)[:room], tokenizer.sep_id]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_LEAST_PREFIX", bound)
        patch.setattr(module, "_CHARACTERS_PER_TOKEN", 1)
        tokens = tokenizer.encode([text, "waves", text], room + 2)
    assert tokens[0].tolist() == tokens[2].tolist() == expected
    assert tokens.cut == 2 * (len(whole(tokenizer, clean)) > room)


@pytest.mark.parametrize("unit", ["a", "hello ", ".", "中", "\0", "é", "\ud800"])
def test_a_text_of_megabytes_is_no_trouble(tokenizer, unit):
    tokens = tokenizer.encode([unit * (2_000_000 // len(unit))], 128)
    assert 2 <= len(tokens.ids) <= 128


@pytest.fixture(scope="module")
def bpe():
    """A tokenizer with other rules than BERT's."""
    bpe = Tokenizer(models.BPE(unk_token="[UNK]"))
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=400, special_tokens=SPECIALS, initial_alphabet=alphabet, show_progress=False
    )
    bpe.train_from_iterator(TEXTS, trainer)
    return bpe


@settings(max_examples=100, deadline=None)
@given(text=texts, start=st.integers(0, 50), room=st.integers(1, 80))
def test_other_rules_give_the_first_tokens_too(bpe, text, start, room):
    text = (" ".join(TEXTS)[start:] + without_surrogates(text)) * 3
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_LEAST_PREFIX", 1)
        patch.setattr(module, "_CHARACTERS_PER_TOKEN", 1)
        ids = WordPiece(bpe).encode([text], room + 2)[0]
    assert ids[1:-1].tolist() == whole(WordPiece(bpe), text)[:room]


def test_long_texts_are_truncated_before_they_are_tokenized(tokenizer, monkeypatch):
    tokenized = []
    ids = tokenizer._ids
    monkeypatch.setattr(tokenizer, "_ids", lambda texts: tokenized.extend(texts) or ids(texts))
    assert len(tokenizer.encode(["waves " * 1000], 102)[0]) == 102
    assert [len(text) for text in tokenized] == [803]


def test_settings_of_the_file_on_length_are_ignored(bpe, tmp_path):
    changed = Tokenizer.from_str(bpe.to_str())
    changed.enable_truncation(3)
    changed.enable_padding(length=50)
    changed.save(str(tmp_path / "tokenizer.json"))
    found = WordPiece.from_file(tmp_path / "tokenizer.json").encode([TEXTS[0], "wave"], 66)
    assert found[0][1:-1].tolist() == bpe.encode(TEXTS[0]).ids[:64]
    assert found.lengths[1] < 10


def test_saved_tokenizers_come_back_the_same(tokenizer, tmp_path):
    (tmp_path / "tokenizer.json").write_text(tokenizer.to_json(), encoding="utf-8")
    again = WordPiece.from_file(tmp_path / "tokenizer.json")
    assert again.fingerprint == tokenizer.fingerprint
    assert again.encode(TEXTS, 32).ids.tolist() == tokenizer.encode(TEXTS, 32).ids.tolist()
    plain = Tokenizer.from_file(str(tmp_path / "tokenizer.json"))  # as other tools read it
    assert plain.encode(TEXTS[0]).ids == tokenizer.encode(TEXTS[:1], 128)[0].tolist()


def test_fingerprints_tell_tokenizers_apart():
    made = [
        WordPiece.train(TEXTS, vocab_size=size, lowercase=fold)
        for size, fold in [(100, True), (100, False), (90, True)]
    ]
    assert len({one.fingerprint for one in made}) == 3


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("vocab.txt", b"[PAD]\n[UNK]\nhello\n", r"no \[CLS\] \[SEP\] among"),
        ("vocab.txt", b"", "line 1 is .., which is empty"),
        ("vocab.txt", b"\xff\xfe\x00", "cannot be decoded"),
        ("vocab.txt", b"[PAD]\n\n[UNK]\n[CLS]\n[SEP]\n", "line 2 is '', which is empty"),
        ("vocab.txt", b"[PAD]\n[UNK]\n[PAD]\n", "line 3 is .*twice"),
        ("vocab.txt", b"x" * 5000, "line 1 is .*too long"),
        ("tokenizer.json", b"{}", "not a tokenizer.json"),
        ("tokenizer.json", b"", "not a tokenizer.json"),
        ("tokenizer.json", b"[" * 10_000, "not a tokenizer.json"),
        ("tokenizer.json", b'{"model": {"type": "WordPiece"}}', "not a tokenizer.json"),
    ],
)
def test_files_that_are_no_vocabulary(tmp_path, name, content, message):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UserError, match=message):
        WordPiece.from_file(tmp_path / name)


def test_missing_files_and_missing_specials(tmp_path):
    with pytest.raises(UserError, match="No such file"):
        WordPiece.from_file(tmp_path / "none.txt")
    with pytest.raises(UserError, match="cannot be read: Is a directory"):
        WordPiece.from_file(tmp_path)
    model = models.WordPiece({"[UNK]": 0, "[PAD]": 1}, unk_token="[UNK]")
    Tokenizer(model).save(str(tmp_path / "tokenizer.json"))
    with pytest.raises(UserError, match=r"no \[CLS\] \[SEP\] among"):
        WordPiece.from_file(tmp_path / "tokenizer.json")
    model = models.WordPiece({p: 10**6 * i for i, p in enumerate(SPECIALS)}, unk_token="[UNK]")
    Tokenizer(model).save(str(tmp_path / "tokenizer.json"))
    with pytest.raises(UserError, match="gaps"):
        WordPiece.from_file(tmp_path / "tokenizer.json")


def test_vocabulary_files_may_have_crlf_and_a_byte_order_mark(tmp_path):
    lines = [*SPECIALS, "wave", "##s"]
    (tmp_path / "a.txt").write_bytes("\n".join(lines).encode())
    (tmp_path / "b.txt").write_bytes(b"\xef\xbb\xbf" + "\r\n".join([*lines, ""]).encode())
    a, b = (WordPiece.from_file(tmp_path / name) for name in ("a.txt", "b.txt"))
    assert a.fingerprint == b.fingerprint
    assert a.encode(["Waves wave"], 9)[0].tolist() == [2, 4, 5, 4, 3]


@pytest.mark.skipif(not (DATA / "vocab.txt").exists(), reason="needs BERT's vocab.txt")
@settings(max_examples=200, deadline=None)
@given(text=texts.filter(lambda text: "[" not in text))  # BERT's own takes [SEP] in a text as such
def test_same_ids_as_the_librarys_bert_tokenizer(bert_tokenizers, text):
    ours, theirs = bert_tokenizers
    clean = without_surrogates(text)
    assert ours.encode([text], 10_000)[0].tolist() == theirs.encode(clean).ids


@pytest.fixture(scope="module")
def bert_tokenizers():
    path = DATA / "vocab.txt"
    return WordPiece.from_file(path), BertWordPieceTokenizer(str(path))


@pytest.mark.skipif(not (DATA / "vocab.txt").exists(), reason="needs BERT's vocab.txt")
def test_ids_known_of_bert(bert_tokenizers):
    ids = bert_tokenizers[0].encode(["Hello, World! unaffable"], 32)[0].tolist()
    assert ids == [101, 7592, 1010, 2088, 999, 14477, 20961, 3468, 102]
