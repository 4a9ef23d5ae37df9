"""One text, one answer: alone, among others, padded to any shape, and after reloading."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from wave_jax.data.config import DataConfig
from wave_jax.data.tokenizer import WordPiece
from wave_jax.inference import Classifier, Prediction
from wave_jax.models import ModelConfig, build_model
from wave_jax.training.config import Config

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


def test_the_plain_path_says_the_same(classifier: Classifier) -> None:
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
def test_something_else_than_a_string_is_refused(classifier: Classifier, wrong: list) -> None:
    with pytest.raises(TypeError, match=r"text \d is not a str but"):
        classifier.predict(wrong)


def test_nothing_compiles_once_the_shapes_are_warm(classifier: Classifier) -> None:
    classifier.logits(_texts(600))
    classifier.logits(_texts(1))
    compiled = classifier._forward._cache_size()
    known = sum(len(shapes.chain) for shapes in classifier._shapes.values())
    assert compiled <= known
    for count in (2, 255, 256, 257):
        classifier.logits(_texts(count))
    assert classifier._forward._cache_size() <= known
