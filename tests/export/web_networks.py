"""Networks for pages, without training, odd texts, and a page's answers from Node."""

import json
import shutil
import subprocess
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from wave_jax.data.config import DataConfig
from wave_jax.data.ngrams import NgramTokenizer
from wave_jax.data.tokenizer import WordPiece
from wave_jax.inference import Classifier
from wave_jax.models import ModelConfig, build_model
from wave_jax.training.config import Config

SENTENCES = [
    "Blue waves roll over the deep sea.",
    "Green hills stand still above the sea!",
    "Grey clouds drift over the high hills, and over the sea?",
    "The señor's 3 naïve cafés: 50% off; e-mail a@b.c <b>now</b> &amp; then",
]
LABELS = ("sea", "<b>land</b>", "$sky & 'wind'")


def make(model: ModelConfig, *, texts=SENTENCES, vocab_size=300, max_length=64, scale=0.3,
         tokenizer=None, **data) -> Classifier:  # fmt: skip
    """A classifier whose parameters are random, biases and weights of the linear path too."""
    options = DataConfig(max_length=max_length, **data)
    if tokenizer is None:
        tokenizer = WordPiece.train(list(texts) * 2, vocab_size=vocab_size)
    if options.has_ngrams:
        pieces = list(texts) * 2
        tokenizer = NgramTokenizer.learn(tokenizer, pieces, options.ngrams, options.stems, 64)
    module = build_model(
        model,
        vocab_size=tokenizer.vocab_size,
        num_classes=len(LABELS),
        max_length=max_length,
        sentence_end_ids=tokenizer.sentence_end_ids,
        sep_id=tokenizer.sep_id,
    )
    shapes = jax.eval_shape(module.init, jax.random.key(0), jnp.zeros((1, 4), int))["params"]
    rng = np.random.default_rng(0)
    params = jax.tree.map(
        lambda leaf: (scale * rng.standard_normal(leaf.shape)).astype(np.float32), shapes
    )
    config = Config(data=options, model=model)
    made = {"tokenizer": tokenizer, "labels": LABELS, "config": config}
    return Classifier(module, params, **made, fold=False)


def odd_texts() -> list[str]:
    """A hundred texts that a page may meet, and no training has."""
    fixed = [
        *["", " ", "a", "sea", "a" * 10_000, "sea " * 10_000, "[CLS]", "x [CLS] y [SEP] z [PAD]"],
        *["<script>alert(1)</script>", "</script>", "&amp;&lt;", "<!--", "##sea ##s", "[UNK]"],
        *["שלום עולם", "مرحبا بالعالم", "\u202ebackwards\u202c", "😀 👩\u200d👩\u200d👧 🌊🌊"],
        *["水火木金土", "日本語のテキスト", "Ünïcödé naïve café", "e\u0301 a\u0308", "İstanbul"],
        *["ﬁne ﬀ", "ẞ ß SS", "Ǆ ǆ", "Σ ς σ", "½ ² ①", "a\u00a0b\u2003c", "a\u200bb", "a\u200db"],
        *["tab\tnew\nline\r\nend", "\x00\x01", "a\ufffdb", "a\ud800b", "\udc00", "𝒲𝒶𝓋𝑒 𐍈"],
        *["a" * 100, "a" * 101, "1,000.50", "don't", "e-mail@x.y", "...!!!???", "-" * 80],
        *["中a文b", "ไทย ภาษา", "हिन्दी", "ѣ Ж ё й", "ﷺ", "\u0300\u0301", "\ufeffsea"],
        *["~`!@#$%^&*()_+={}|\\:\";'<>?,./", "\u2028line\u2029", "¿sea? ¡sea!", "«sea»"],
        *["“sea” ‘sea’", "sea—land–sky", "€5 £5 ¥5", "™®©", "a\u00adb"],
    ]  # fmt: skip
    rng = np.random.default_rng(0)
    ranges = [(32, 127), (160, 0x250), (0x370, 0x600), (0x2000, 0x2300), (0x1F300, 0x1F700)]
    while len(fixed) < 100:
        low, high = ranges[len(fixed) % len(ranges)]
        mixed = rng.integers(low, high, 40).tolist() + rng.integers(32, 127, 20).tolist()
        fixed.append("".join(map(chr, rng.permutation(mixed).tolist())))
    return fixed


def answers(page: Path, requests: list[dict]) -> list[dict]:
    """What the page's engine computes; skips where there is no Node."""
    node = shutil.which("node")
    if node is None:
        pytest.skip("needs node")
    done = subprocess.run(
        [node, Path(__file__).with_name("run_page.mjs"), page],
        input=json.dumps(requests).encode(),
        capture_output=True,
        timeout=600,
    )
    assert done.returncode == 0, done.stderr.decode()
    return json.loads(done.stdout)
