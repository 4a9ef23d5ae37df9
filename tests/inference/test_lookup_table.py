"""Prediction from a lookup table: the network's own numbers, where a network allows it."""

from __future__ import annotations

import time

import numpy as np
import pytest
from wave_jax.inference.ahead import ahead

from tests.inference.test_classifier import TOLERANCE, _classifier, _texts
from wave_jax.inference import Classifier
from wave_jax.inference import classifier as module
from wave_jax.models import ModelConfig, table_rows

TEXTS = [*_texts(300), "", "unseen wörds 水", "blue " * 500]


def _refolded(classifier: Classifier, fold: bool) -> Classifier:
    return Classifier(
        classifier.model,
        classifier.params,
        tokenizer=classifier.tokenizer,
        labels=classifier.labels,
        config=classifier.config,
        fold=fold,
    )


@pytest.mark.parametrize(
    "model",
    [
        ModelConfig(dim=16, ffn_dim=8),
        ModelConfig(dim=16, op="interference", readout="imag"),
        # Narrower and not trained, this one turns a rounding into 2e-5 of its logits.
        ModelConfig(dim=64, op="both"),
    ],
    ids=lambda model: f"{model.op} {model.readout}",
)
def test_folded_is_the_network_up_to_rounding(model: ModelConfig) -> None:
    folded = _classifier(model)
    assert folded.folded_bytes == 4 * 2 * model.dim * (table_rows(folded.tokenizer.vocab_size) + 1)
    plain = _refolded(folded, fold=False)
    assert plain.folded_bytes == 0
    expected, found = plain.logits(TEXTS), folded.logits(TEXTS)
    # float32 sums in another order, of up to 64 tokens
    assert np.abs(found - expected).max() <= TOLERANCE * np.abs(expected).max()
    one = folded.logits(TEXTS[5])
    assert np.abs(one - expected[5]).max() <= TOLERANCE * np.abs(expected).max()


@pytest.mark.parametrize(
    "changes",
    [
        {"pooling": "mean"},
        {"position": "learned"},
        {"layers": 2},
        {"scopes": ("sentence", "input")},
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_other_networks_predict_as_they_are(changes: dict[str, object]) -> None:
    classifier = _classifier(ModelConfig(dim=8, op="both", **changes))  # type: ignore[arg-type]
    assert classifier.folded_bytes == 0
    assert classifier._folded is None


def test_large_tables_are_folded_only_when_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_MOST_FOLDED", 1000)
    classifier = _classifier(ModelConfig(dim=8))
    assert classifier.folded_bytes == 0
    assert _refolded(classifier, fold=True).folded_bytes > 1000


def test_a_stream_gives_what_a_list_gives(monkeypatch: pytest.MonkeyPatch) -> None:
    classifier = _classifier(ModelConfig(dim=8))
    expected = classifier.predict(TEXTS)
    chunks = [TEXTS[:7], [], TEXTS[7:250], TEXTS[250:]]
    found = [item for part in classifier.predict_stream(iter(chunks)) for item in part]
    assert [item.label for item in found] == [item.label for item in expected]
    whole = classifier.logits(TEXTS)
    monkeypatch.setattr(module, "_TEXTS_AT_ONCE", 50)
    # beside other texts, so with other rounding
    np.testing.assert_allclose(classifier.logits(TEXTS), whole, rtol=1e-5, atol=1e-6)


def test_an_error_ahead_comes_after_what_was_before_it() -> None:
    def items():
        yield 1
        yield 2
        raise ValueError("third")

    results = ahead(items(), lambda x: 10 * x)
    assert [next(results), next(results)] == [10, 20]
    with pytest.raises(ValueError, match="third"):
        next(results)


def test_no_more_than_asked_for_is_taken_ahead() -> None:
    taken = []
    results = ahead((taken.append(i) or i for i in range(100)), lambda x: x, depth=1)
    next(results)
    time.sleep(0.1)
    assert len(taken) <= 3  # one handed over, one waiting, one in the thread's hands
    results.close()
