"""The probe of one text with a trained network: padding, classes, scalars, refusals."""

from __future__ import annotations

import jax
import numpy as np
import pytest

from tests.inference.test_classifier import LABELS, _classifier
from wave_jax.errors import UserError
from wave_jax.inference import Classifier
from wave_jax.inference.probing import probe_text
from wave_jax.models import ModelConfig
from wave_jax.probe import wave_gradients

TEXT = "blue waves roll . green hills stand still"


@pytest.fixture(scope="module")
def classifier() -> Classifier:
    model = ModelConfig(dim=8, ffn_dim=8, op="interference", scopes=("sentence", "input"))
    return _classifier(model, max_length=24)


def test_equals_the_gradients_without_padding(classifier: Classifier) -> None:
    probed = probe_text(classifier, TEXT)
    ids = classifier.tokenizer.encode([TEXT], 24)[0][None]
    n = ids.shape[1]
    assert len(probed.tokens) == n
    assert (probed.tokens[0], probed.tokens[1], probed.tokens[-1]) == ("[CLS]", "blue", "[SEP]")
    assert probed.tokens_cut == 0
    assert probed.labels[probed.label] == classifier.predict(TEXT).label
    expected = jax.jit(wave_gradients, static_argnums=0)(
        classifier.model, classifier.params, ids, np.array([probed.label])
    )
    found = probed.result.gradients
    for x, y in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
        assert x.shape == y.shape
        np.testing.assert_allclose(x, y, rtol=0, atol=1e-4 * np.abs(y).max())
    assert probed.result.gradient_times_input.shape == (1, n)
    assert probed.result.integrated.tokens.shape == (1, n)
    (couplings,) = probed.result.couplings
    assert [part.shape for part in couplings["interference"]] == [(1, n, n)] * 2


def test_any_class_and_scalar(classifier: Classifier) -> None:
    logits = classifier.logits(TEXT)
    of_logit = probe_text(classifier, TEXT, label="land", of="logit")
    assert of_logit.label == LABELS.index("land")
    assert float(of_logit.result.gradients.loss) == pytest.approx(logits[1], rel=1e-3)


def test_texts_that_cannot_be_probed_are_refused(classifier: Classifier) -> None:
    with pytest.raises(UserError, match="'  ' is empty"):
        probe_text(classifier, "  ")
    with pytest.raises(UserError, match=r"8 of the text's 32 tokens would be cut.*--cut"):
        probe_text(classifier, "blue " * 30)
    truncated = probe_text(classifier, "blue " * 30, cut=True)
    assert truncated.tokens_cut == 8
    assert len(truncated.tokens) == 24
    with pytest.raises(UserError, match="no class 'lande', did you mean 'land'"):
        probe_text(classifier, TEXT, label="lande")
    with pytest.raises(UserError, match="of must be one of loss, logit, margin; got 'x'"):
        probe_text(classifier, TEXT, of="x")  # type: ignore[arg-type]
