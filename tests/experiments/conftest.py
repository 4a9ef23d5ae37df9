"""A scale at which every item runs in seconds, with texts and a BERT checkpoint for it."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.cli.conftest import command, own_cache, write_texts  # noqa: F401
from wave_jax.experiments.plan import SCALES, Plan, Scale
from wave_jax.experiments.records import Records, environment
from wave_jax.experiments.sources import PreparedSource

SMALL = SCALES["small"]
TINY = dataclasses.replace(
    SMALL, dim=8, bert_layers=1, texts=120, test_texts=40, max_length=12, vocab_size=60,
    epochs=1, long_epochs=1, quick_steps=10, gradient_steps=10, seeds=1,
    ablation_seeds=1, learning_rates=(1e-3, 3e-3),
)  # fmt: skip
NEWS = PreparedSource("AG News", "ag_news_csv", "0" * 64, 96, 24, 40, 4, 0.4, True)


@pytest.fixture(autouse=True)
def tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(SCALES, "small", TINY)


@pytest.fixture(scope="session")
def texts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Texts whose only column of text is called so."""
    path = write_texts(tmp_path_factory.mktemp("texts") / "plain.csv", 300)
    path.write_text(path.read_text().replace("title,body,topic", "title,text,label", 1))
    return path


def tiny_plan(folder: Path, data: PreparedSource = NEWS, **changes: Any) -> Plan:
    return Plan(TINY, (data,), **{"seeds": 1, "records": Records(folder), **changes})


def about(*datasets: PreparedSource, **changes: Any) -> dict[str, Any]:
    facts = [data.about() for data in datasets or (NEWS,)]
    known = {"scale": "small", "datasets": facts, "pretrained": None, "seeds": 1}
    return known | {"environment": environment()} | changes


def contents(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def write_bert(folder: Path, scale: Scale) -> Path:
    """Writes a checkpoint with random parameters, of the size that BERT has at that scale."""
    folder.mkdir()
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *"abcdefghijklmnopqrstuvwxyz"]
    words += [f"##{letter}" for letter in "abcdefghijklmnopqrstuvwxyz"]
    (folder / "vocab.txt").write_text("\n".join(words))
    dim, inner = scale.dim, 4 * scale.dim
    config = {
        "model_type": "bert", "hidden_size": dim, "intermediate_size": inner,
        "num_hidden_layers": scale.bert_layers, "num_attention_heads": max(1, dim // 64),
        "max_position_embeddings": scale.max_length,
    }  # fmt: skip
    (folder / "config.json").write_text(json.dumps(config))
    shapes: dict[str, tuple[int, ...]] = {
        "embeddings.word_embeddings.weight": (len(words), dim),
        "embeddings.position_embeddings.weight": (scale.max_length, dim),
        "embeddings.token_type_embeddings.weight": (2, dim),
        "pooler.dense.weight": (dim, dim),
        "pooler.dense.bias": (dim,),
    }
    norms = ["embeddings.LayerNorm"]
    for i in range(scale.bert_layers):
        layer = f"encoder.layer.{i}"
        norms += [f"{layer}.{part}.LayerNorm" for part in ("attention.output", "output")]
        names = ("self.query", "self.key", "self.value", "output.dense")
        for name, out, into in [
            *((f"attention.{part}", dim, dim) for part in names),
            ("intermediate.dense", inner, dim), ("output.dense", dim, inner),
        ]:  # fmt: skip
            shapes |= {f"{layer}.{name}.weight": (out, into), f"{layer}.{name}.bias": (out,)}
    for name in norms:
        shapes |= {f"{name}.weight": (dim,), f"{name}.bias": (dim,)}
    write_weights(folder, shapes)
    return folder


def write_weights(folder: Path, shapes: dict[str, tuple[int, ...]]) -> None:
    """Writes random model.safetensors: a length, a header in JSON, and the numbers in order."""
    header, data, rng = {}, b"", np.random.default_rng(0)
    for name, shape in shapes.items():
        part = (0.05 * rng.standard_normal(shape)).astype("<f4").tobytes()
        offsets = [len(data), len(data) + len(part)]
        header[name] = {"dtype": "F32", "shape": shape, "data_offsets": offsets}
        data += part
    text = json.dumps(header).encode()
    path = folder / "model.safetensors"
    path.write_bytes(len(text).to_bytes(8, "little") + text + data)


def weight_shapes(folder: Path) -> dict[str, tuple[int, ...]]:
    content = (folder / "model.safetensors").read_bytes()
    header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
    return {name: tuple(entry["shape"]) for name, entry in header.items()}
