"""A text's prediction is the same alone, among others, and padded; loading refuses bad files."""

from __future__ import annotations

import io
import itertools
import json
import pickle
import shutil
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from rich.console import Console

from wave_jax.data.config import DataConfig
from wave_jax.data.tokenizer import WordPiece
from wave_jax.errors import UserError
from wave_jax.inference import Classifier, Prediction, load
from wave_jax.inference import classifier as module
from wave_jax.inference.probing import probe_text
from wave_jax.models import ModelConfig, build_model
from wave_jax.runs.inputs import with_vocabulary
from wave_jax.runs.job import train
from wave_jax.training.config import Config, TrainConfig

LABELS = ("sea", "land", "$sky")
PROSE = "blue waves roll . green hills stand still ! grey clouds drift ? over high and low"
WORDS = PROSE.split()
# Rounding of float32 sums in another order; the bound is the one promised to users.
TOLERANCE = 1e-5


def _texts(count: int, longest: int = 60) -> list[str]:
    rng = np.random.default_rng(0)
    return [" ".join(rng.choice(WORDS, size=rng.integers(0, longest))) for _ in range(count)]


def _classifier(model: ModelConfig, max_length: int = 64) -> Classifier:
    config = Config(data=DataConfig(max_length=max_length), model=model)
    tokenizer = WordPiece.train(_texts(40), vocab_size=200)
    module = build_model(
        model,
        vocab_size=tokenizer.vocab_size,
        num_classes=len(LABELS),
        max_length=max_length,
        sentence_end_ids=tokenizer.sentence_end_ids,
        sep_id=tokenizer.sep_id,
    )
    params = module.init(jax.random.key(1), jnp.zeros((1, 4), int), jnp.ones((1, 4), bool))
    return Classifier(module, params["params"], tokenizer=tokenizer, labels=LABELS, config=config)


@pytest.fixture(scope="module")
def classifier() -> Classifier:
    return _classifier(ModelConfig(dim=16, ffn_dim=16, word_dropout=0.4, dropout=0.2))


MODELS = {
    "modulation": ModelConfig(dim=16, ffn_dim=16),
    "both, mean, positions": ModelConfig(
        op="both", dim=64, ffn_dim=64, layers=2, pooling="mean", position="learned"
    ),
    "sentences": ModelConfig(
        op="interference", dim=16, ffn_dim=16, scopes=("sentence", "input"), position="sinusoidal"
    ),
}


@pytest.mark.parametrize("model", MODELS.values(), ids=MODELS.keys())
def test_a_text_alone_is_as_among_others(model: ModelConfig) -> None:
    classifier = _classifier(model)
    texts = [*_texts(300), "", "unseen wörds 水", "blue " * 500]
    together = classifier.logits(texts)
    assert together.shape == (303, 3)
    assert together.dtype == np.float32
    for place in (0, 7, 299, 300, 301, 302):
        alone = classifier.logits(texts[place])
        error = np.linalg.norm(alone - together[place])
        assert error <= TOLERANCE * np.linalg.norm(alone)


def test_equals_the_reference_path(classifier: Classifier) -> None:
    """Padding to any length leaves the reference path's logits as they are."""
    texts = _texts(20)
    tokens = classifier.tokenizer.encode(texts, classifier.max_length)
    expected = classifier.logits(texts)
    for width in (64, 80):
        ids = np.full((len(texts), width), classifier.tokenizer.pad_id)
        mask = np.arange(width) < tokens.lengths[:, None]
        ids[mask] = tokens.ids
        plain = classifier.model.apply({"params": classifier.params}, ids, mask)
        error = np.linalg.norm(plain - expected, axis=1)
        assert (error <= TOLERANCE * np.linalg.norm(expected, axis=1)).all()


def test_predictions_keep_the_order(classifier: Classifier) -> None:
    texts = _texts(50)
    predictions = classifier.predict(texts)
    best = classifier.logits(texts).argmax(axis=1)
    assert [item.label for item in predictions] == [LABELS[k] for k in best]
    for item in predictions:
        assert tuple(item.probabilities) == LABELS
        assert abs(sum(item.probabilities.values()) - 1) < 1e-9  # float64 shares
        assert item.label == max(item.probabilities, key=lambda k: item.probabilities[k])


def test_one_string_gives_one_prediction(classifier: Classifier) -> None:
    alone = classifier.predict("blue waves")
    assert isinstance(alone, Prediction)
    assert classifier.predict(iter(["blue waves"]))[0].label == alone.label
    assert classifier.logits("blue waves").shape == (3,)


def test_no_text_gives_no_prediction(classifier: Classifier) -> None:
    assert classifier.predict([]) == []


@pytest.mark.parametrize("wrong", [[b"bytes"], ["good", None], [["nested"]], [1]])
def test_only_strings_are_accepted(classifier: Classifier, wrong: list) -> None:
    with pytest.raises(TypeError, match=r"text \d is not a str but"):
        classifier.predict(wrong)
    with pytest.raises(TypeError, match=r"text \d is not a str but"):
        classifier.encode(wrong)


def test_encoded_texts_are_what_the_model_takes(classifier: Classifier) -> None:
    texts = ["blue waves roll", "", "hills"]
    ids, mask = classifier.encode(texts)
    assert (ids.dtype, mask.dtype) == (np.int32, bool)
    assert ids.shape == mask.shape == (3, mask.sum(axis=1).max())
    assert (ids[~mask] == classifier.tokenizer.pad_id).all()
    plain = classifier.model.apply({"params": classifier.params}, ids, mask)
    expected = classifier.logits(texts)
    assert np.linalg.norm(plain - expected) <= TOLERANCE * np.linalg.norm(expected)
    assert classifier.encode("hills")[0].shape[0] == 1
    assert classifier.encode([])[0].shape == (0, 0)


def test_a_pickled_classifier_is_the_same(classifier: Classifier) -> None:
    again = pickle.loads(pickle.dumps(classifier))
    texts = [*_texts(3), "[CLS] is an ordinary word [SEP]"]
    assert (again.logits(texts) == classifier.logits(texts)).all()
    assert (again.labels, again.folded_bytes) == (classifier.labels, classifier.folded_bytes)


def test_nothing_compiles_once_the_shapes_are_warm(classifier: Classifier) -> None:
    classifier.logits(_texts(600))
    classifier.logits(_texts(1))
    compiled = classifier._forward._cache_size()
    known = sum(len(shapes.chain) for shapes in classifier._shapes.values())
    assert compiled <= known
    for count in (2, 255, 256, 257):
        classifier.logits(_texts(count))
    assert classifier._forward._cache_size() <= known


def test_a_stream_gives_what_a_list_gives(
    classifier: Classifier, monkeypatch: pytest.MonkeyPatch
) -> None:
    texts = _texts(300)
    expected = classifier.predict(texts)
    chunks = [texts[:7], [], texts[7:250], texts[250:]]
    found = [item for part in classifier.predict_stream(iter(chunks)) for item in part]
    assert [item.label for item in found] == [item.label for item in expected]
    whole = classifier.logits(texts)
    monkeypatch.setattr(module, "_TEXTS_AT_ONCE", 50)
    # beside other texts, so with other rounding; logits near 0 are differences of larger numbers
    np.testing.assert_allclose(classifier.logits(texts), whole, rtol=1e-5, atol=1e-5)


def test_a_stream_reads_little_ahead_and_raises_in_order(classifier: Classifier) -> None:
    taken = []

    def chunks() -> Iterator[list[str]]:
        for number in range(20):
            taken.append(number)
            yield ["blue waves"]
        raise ValueError("the twenty-first")

    stream = classifier.predict_stream(chunks())
    assert len(next(stream)) == 1
    time.sleep(0.1)
    assert len(taken) <= 4  # one yielded, two waiting, one in the thread
    assert len(list(itertools.islice(stream, 19))) == 19
    with pytest.raises(ValueError, match="twenty-first"):
        next(stream)
    assert len(taken) == 20


@pytest.fixture(scope="module")
def workdir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("texts")
    rows = [{"text": text, "label": LABELS[i % 3]} for i, text in enumerate(_texts(60)) if text]
    source = folder / "texts.jsonl"
    source.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    config = Config(
        data=DataConfig(source=str(source), cache_dir=str(folder / "cache"), max_length=16),
        model=ModelConfig(dim=8, ffn_dim=8, position="learned"),
        train=TrainConfig(steps=2, batch_size=16),
    )
    train(config, workdir=folder / "run", console=Console(file=io.StringIO()))
    return folder / "run"


def test_a_run_is_loaded(workdir: Path) -> None:
    classifier = load(workdir)
    assert sorted(classifier.labels) == sorted(LABELS)
    assert classifier.max_length == 16
    assert classifier.predict("blue waves").label in LABELS
    shorter = load(str(workdir), "last", max_length=3)
    np.testing.assert_allclose(
        shorter.logits("blue waves"), classifier.logits("blue"), rtol=1e-5, atol=1e-6
    )


def test_a_run_with_ngrams_reads_texts_of_any_length(
    tmp_path: Path,
) -> None:
    rows = [{"text": text, "label": LABELS[i % 3]} for i, text in enumerate(_texts(60, 30)) if text]
    source = tmp_path / "texts.jsonl"
    source.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    folders = {"source": str(source), "cache_dir": str(tmp_path / "cache")}
    data = DataConfig(**folders, max_length=16, ngrams=2, stems=(3,))
    config = Config(
        data=data,
        model=ModelConfig(dim=8, ffn_dim=8, word_dropout=0.1),
        train=TrainConfig(steps=2, batch_size=16),
    )
    shown = io.StringIO()
    train(config, workdir=tmp_path / "run", console=Console(file=shown, width=200))
    assert "3 classes: " in shown.getvalue()
    assert (tmp_path / "run" / "ngrams.npz").is_file()
    classifier, texts = load(tmp_path / "run", fold=False), [PROSE * 9, "", "blue waves", "xyz"]
    assert classifier.tokenizer.encode(texts, 16).lengths.max() > 16
    longest = classifier.tokenizer.longest(16)
    assert all(shapes.chain[-1][0] >= longest for shapes in classifier._shapes.values())
    whole = classifier.logits(texts)
    folded = load(tmp_path / "run", fold=True).logits(texts)
    np.testing.assert_allclose(folded, whole, rtol=TOLERANCE, atol=TOLERANCE)
    probe = classifier.probe(PROSE, of="margin", cut=True)
    assert probe.of == "margin"
    assert "blue waves" in probe.tokens
    assert "wav…" in probe.tokens
    with pytest.raises(UserError, match="of the text's .. tokens would be cut"):
        probe_text(classifier, PROSE)
    (tmp_path / "run" / "ngrams.npz").unlink()
    with pytest.raises(UserError, match="cannot be read as this network's n-grams"):
        load(tmp_path / "run")
    for model in (ModelConfig(position="learned"), ModelConfig(pretrained="bert")):
        with pytest.raises(UserError, match="tokens without a place in the text, but --model.p"):
            with_vocabulary(replace(config, model=model))


def test_a_length_that_cannot_be_read_is_refused(workdir: Path) -> None:
    with pytest.raises(UserError, match="learned 16 positions; got max_length 17"):
        load(workdir, max_length=17)
    with pytest.raises(UserError, match="at least 3 .* got 2"):
        load(workdir, max_length=2)


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ("[", "run/labels.json: not valid JSON"),
        ('{"a": 1}', "run/labels.json: expected a list of class names"),
        ('["a", "b"]', "classifier/bias is .3,., but by config.json, .* it is .2,.: one of these"),
    ],
)
def test_files_that_do_not_match_are_refused(
    workdir: Path, tmp_path: Path, labels: str, message: str
) -> None:
    copied = tmp_path / "run"
    shutil.copytree(workdir, copied)
    (copied / "labels.json").write_text(labels, encoding="utf-8")
    with pytest.raises(UserError, match=message):
        load(copied)
    with pytest.raises(UserError, match="none"):
        load(tmp_path / "none")
