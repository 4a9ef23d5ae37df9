"""An ONNX graph says what its network says, whatever the network is made of."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from tests.inference.test_classifier import LABELS, TOLERANCE, _classifier, _texts
from wave_jax.errors import UserError
from wave_jax.export import onnx_graph
from wave_jax.export.onnx_graph import FILE, write_onnx
from wave_jax.models import ModelConfig

onnx = pytest.importorskip("onnx")
onnxruntime = pytest.importorskip("onnxruntime")

TEXTS = [
    *_texts(60),
    "",
    "sea",
    "unseen wörds 水",
    "[CLS] [SEP] [PAD]",
    "blue " * 500,
    "x" * 10_000,
]
NETWORKS = {
    "default": ModelConfig(dim=16, variants="table", head="linear", linear_path=True),
    "paper": ModelConfig(dim=16),
    "magnitude": ModelConfig(dim=16, op="interference", norms=1, activation="tanh"),
    "phase": ModelConfig(dim=16, readout="phase", activation="relu"),
    "both": ModelConfig(dim=32, op="both", head="linear", readout="imag"),
}


@pytest.mark.parametrize("network", NETWORKS.values(), ids=NETWORKS.keys())
def test_equals_the_network(network: ModelConfig, tmp_path: Path) -> None:
    classifier = _classifier(network)
    expected, largest = classifier.logits(TEXTS), np.abs(classifier.logits(TEXTS)).max()
    found = write_onnx(classifier, tmp_path / "float32")(TEXTS)
    assert found.dtype == np.float32
    # sums in another order
    assert np.abs(found - expected).max() <= TOLERANCE * largest
    rounded = write_onnx(classifier, tmp_path / "int8", "int8")(TEXTS)
    assert np.abs(rounded - expected).max() <= 0.03 * largest  # half a step of 127, and its sums
    sizes = [(tmp_path / name / FILE).stat().st_size for name in ("int8", "float32")]
    assert sizes[0] < sizes[1]


def test_a_batch_of_any_shape(tmp_path: Path) -> None:
    classifier = _classifier(NETWORKS["default"])
    write_onnx(classifier, tmp_path / "out")
    session = onnxruntime.InferenceSession(tmp_path / "out" / FILE)
    assert [each.shape for each in session.get_inputs()] == [["batch", "tokens"]] * 2
    expected = classifier.logits(TEXTS[:4])
    ids, mask = classifier.encode(TEXTS[:4])
    for padding in (0, 7):  # ids of padding do not matter
        wider = np.pad(ids, ((0, 0), (0, padding)), constant_values=5).astype(np.int64)
        inputs = {"input_ids": wider, "attention_mask": np.pad(mask, ((0, 0), (0, padding)))}
        inputs["attention_mask"] = inputs["attention_mask"].astype(np.int64)
        (found,) = session.run(["logits"], inputs)
        np.testing.assert_allclose(found, expected, atol=1e-5)
    model = onnx.load(tmp_path / "out" / FILE)
    assert len(model.graph.node) < 50
    config = json.loads((tmp_path / "out" / "config.json").read_text("utf-8"))
    assert list(config["id2label"].values()) == list(LABELS)


def test_networks_without_a_table_are_refused(tmp_path: Path) -> None:
    classifier = _classifier(ModelConfig(dim=8, pooling="mean"))
    with pytest.raises(UserError, match="waves with --model.pooling cls, this network has mean"):
        write_onnx(classifier, tmp_path / "out")
    assert not list(tmp_path.iterdir())


def test_tables_too_large_for_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(onnx_graph, "_MOST_BYTES", 1000)
    with pytest.raises(UserError, match="an ONNX file at most 2: give --table int8"):
        write_onnx(_classifier(NETWORKS["paper"]), tmp_path / "out")
