"""Prediction from a lookup table: the network's own numbers, where a model supports it."""

from __future__ import annotations

import jax
import numpy as np
import pytest

from tests.inference.test_classifier import TOLERANCE, _classifier, _texts
from wave_jax import ops
from wave_jax.errors import UserError
from wave_jax.inference import Classifier
from wave_jax.inference import classifier as module
from wave_jax.inference.lookup_table import Kept, LookupTable
from wave_jax.models import ModelConfig, table_rows

TEXTS = [*_texts(300), "", "unseen wörds 水", "blue " * 500]


def _with_fold(classifier: Classifier, fold: bool, table: Kept = "float32") -> Classifier:
    return Classifier(
        classifier.model,
        classifier.params,
        tokenizer=classifier.tokenizer,
        labels=classifier.labels,
        config=classifier.config,
        fold=fold,
        table=table,
    )


@pytest.mark.parametrize(
    "model",
    [
        ModelConfig(dim=16, ffn_dim=8),
        ModelConfig(dim=16, op="interference", readout="imag"),
        # Narrower and not trained, this one turns a rounding into 2e-5 of its logits.
        ModelConfig(dim=64, op="both"),
        ModelConfig(dim=16, variants="table", head="linear", linear_path=True),
        ModelConfig(dim=64, norms=1, position="sinusoidal"),
        ModelConfig(dim=16, op="interference", position="learned", linear_path=True),
    ],
    ids=lambda model: f"{model.op} {model.readout} {model.position}",
)
def test_equals_the_network_up_to_rounding(model: ModelConfig) -> None:
    folded = _classifier(model)
    columns, rows = 2 * model.dim, table_rows(folded.tokenizer.vocab_size) + 1
    numbers = (columns + len(folded.labels) * model.linear_path) * rows
    if model.position != "auto":
        numbers += columns * folded.max_length
    assert folded.folded_bytes == 4 * numbers
    plain = _with_fold(folded, fold=False)
    assert plain.folded_bytes == 0
    expected, found = plain.logits(TEXTS), folded.logits(TEXTS)
    # float32 sums in another order, of up to 64 tokens
    assert np.abs(found - expected).max() <= TOLERANCE * np.abs(expected).max()
    rounded = _with_fold(folded, fold=True, table="int8")
    found = rounded.logits(TEXTS)
    # half a step of 127 in each variant, added up over the tokens, and products in bfloat16
    assert 0 < np.abs(found - expected).max() <= 0.03 * np.abs(expected).max()
    assert rounded.folded_bytes == sum(leaf.nbytes for leaf in jax.tree.leaves(_kept(rounded)))
    one = folded.logits(TEXTS[5])
    assert np.abs(one - expected[5]).max() <= TOLERANCE * np.abs(expected).max()


def _kept(classifier: Classifier) -> object:
    """What is there for every row, and for every position."""
    assert classifier._table is not None
    table = classifier._table.table
    return table.variants, table.weights, table.places


@pytest.mark.parametrize(
    "changes",
    [
        {"pooling": "mean"},
        {"layers": 2},
        {"scopes": ("sentence", "input")},
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_other_networks_predict_without(changes: dict[str, object]) -> None:
    classifier = _classifier(ModelConfig(dim=8, op="both", **changes))  # type: ignore[arg-type]
    assert classifier.folded_bytes == 0
    assert classifier._table is None
    with pytest.raises(
        UserError, match=f"no table in int8: .* with --model.{next(iter(changes))} "
    ):
        _with_fold(classifier, fold=True, table="int8")
    with pytest.raises(UserError, match="table is 'int4', expected one of float32, int8"):
        _with_fold(classifier, fold=True, table="int4")


def test_large_tables_are_made_only_on_request(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_MOST_TABLE_BYTES", 1000)
    classifier = _classifier(ModelConfig(dim=8))
    assert classifier.folded_bytes == 0
    assert _with_fold(classifier, fold=True).folded_bytes > 1000


@pytest.mark.parametrize("scale", [1e-25, 1e25])
def test_variants_of_any_scale(scale: float) -> None:
    """Squares of such variants would vanish or overflow; the imaginary part is linear in them."""
    small = _classifier(ModelConfig(dim=16, op="interference", readout="imag"))
    params = jax.tree.map(lambda leaf: leaf, small.params)
    variants = params["layer_0"]["variants"]
    params["layer_0"]["variants"] = {name: leaf * scale for name, leaf in variants.items()}
    table = LookupTable(small.model, params, cls_id=small.tokenizer.cls_id, longest=64)
    squares, scale = table.table.variants.values, table.table.scale
    assert np.isfinite(squares).all()
    assert np.any(squares)
    cls = small.model.apply(
        {"params": params}, params["embed"]["embedding"][small.tokenizer.cls_id], method="project"
    )
    np.testing.assert_allclose(table.table.cls, cls, rtol=1e-5)
    u = small.model.apply({"params": params}, params["embed"]["embedding"], method="project")
    rows = np.asarray(u, np.float64).reshape(len(u), -1)[[5, 7, 7, 9]]
    found = ops.norm_from_squares(squares[np.array([5, 7, 7, 9])].sum(axis=0), scale)
    np.testing.assert_allclose(found.reshape(-1), np.sqrt((rows**2).sum(axis=0)), rtol=1e-6)
