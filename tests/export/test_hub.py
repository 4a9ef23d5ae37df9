"""A folder in Hugging Face's layout gives the same probabilities, here and from the hub's cache."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import yaml
from huggingface_hub import ModelCard, constants

import wave_jax
from tests.inference.test_classifier import PROSE, _classifier, _texts
from wave_jax.data.config import DataConfig
from wave_jax.data.ngrams import NgramTokenizer
from wave_jax.errors import UserError
from wave_jax.export.hub import read_results, write_hub
from wave_jax.inference import Classifier
from wave_jax.models import ModelConfig, build_model
from wave_jax.training.config import Config

TEXTS = [*_texts(40), "", "unseen wörds 水"]
ODD = [
    *("", "a", "a" * 10_000, "😀 emoji 👨\u200d👩\u200d👧 ✌🏽", "שלום עולם مرحبا بالعالم"),
    *("<b>blue</b> &amp; <script>", "typed [CLS] and [SEP][PAD][UNK] [MASK]", "水火 かな 한국어"),
    *("é e\u0301 ﬁ ǅ ß İ", "x\0y\u200bz\ufeff", "  \t\n blue \r\n", "##ue ##", "١٢٣ ½ ² ①"),
    *("blue-waves...roll!?", "don't it's", "\ufffd\U0010ffff"),
]
MARKUP = ("<script>alert(1)</script>", "a\n---\n# b", "{c} `d` | 水")


def make_classifier() -> Classifier:
    """Returns one of the default recipe's kind, with pairs of words and stems, untrained."""
    shape = ModelConfig(dim=8, variants="table", head="linear", linear_path=True)
    paths = {name: f"/home/me/{name}" for name in ("test", "vocab", "cache_dir")}
    paths |= {name: f"/home/me/{name}" for name in ("tfds_dir", "tfds_manual_dir")}
    sizes = {"max_length": 64, "ngrams": 2, "stems": (4,)}
    data = DataConfig(source="/home/me/secret/sea.csv", **paths, **sizes)
    pieces = _classifier(ModelConfig(dim=8)).tokenizer
    tokenizer = NgramTokenizer.learn(pieces, _texts(40), 2, (4,), 64)
    model = build_model(shape, vocab_size=tokenizer.vocab_size, num_classes=3, max_length=64)
    rows, rng = -(-tokenizer.vocab_size // 128) * 128, np.random.default_rng(0)
    params = {
        "embed": {"embedding": rng.normal(size=(rows, 19)).astype(np.float32)},
        "classifier": {
            "kernel": rng.normal(size=(8, 3)).astype(np.float32),
            "bias": np.zeros(3, np.float32),
        },
    }
    config = Config(data=data, model=shape, workdir="/home/me/run")
    return Classifier(model, params, tokenizer=tokenizer, labels=MARKUP, config=config)


@pytest.fixture(scope="module")
def classifier() -> Classifier:
    return make_classifier()


@pytest.fixture(scope="module")
def exported(classifier: Classifier, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("hub") / "model"
    write_hub(classifier, folder, {"data": "sea.csv", "test_accuracy": 0.75, "test_examples": 4})
    return folder


@pytest.fixture
def copy(exported: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(exported, tmp_path / "copy"))


def test_the_same_probabilities_to_the_bit(classifier: Classifier, exported: Path) -> None:
    found = wave_jax.load(exported)
    assert (found.labels, found.max_length) == (MARKUP, 64)
    assert found.predict(TEXTS) == classifier.predict(TEXTS)


def test_from_the_cache_of_the_hub(
    classifier: Classifier, exported: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    repository, commit = tmp_path / "models--owner--sea", "e6281661ce1c48d982bc483cf8a173c1bbeb5d31"
    (repository / "refs").mkdir(parents=True)
    (repository / "refs" / "main").write_text(commit)
    (repository / "snapshots").mkdir()
    shutil.copytree(exported, repository / "snapshots" / commit)
    (repository / "snapshots" / commit / "model.py").write_text("raise SystemExit('executed')")
    assert wave_jax.load("hf:owner/sea").predict(TEXTS) == classifier.predict(TEXTS)
    with pytest.raises(UserError, match="^hf:owner/other is not in .* no network: give the folder"):
        wave_jax.load("hf:owner/other")
    for name in ("hf:a/b/c", "hf:a", "hf:owner/sea@"):
        with pytest.raises(UserError, match=f"^{name}: expected hf:OWNER/NAME or"):
            wave_jax.load(name)
    assert wave_jax.load(f"hf:owner/sea@{commit}").labels == MARKUP
    with pytest.raises(UserError, match="^hf:owner/sea@v2 is not in"):
        wave_jax.load("hf:owner/sea@v2")


def test_nothing_but_its_configuration_is_fetched_of_another_model(
    exported: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def fetch(name: str, *, revision: str | None, allow_patterns: list[str]) -> str:
        asked.append((name, revision, allow_patterns))
        return str(tmp_path)

    monkeypatch.setattr("huggingface_hub.snapshot_download", fetch)
    (tmp_path / "config.json").write_text('{"model_type": "llama"}')
    with pytest.raises(UserError, match="type is 'llama', expected 'wave_jax'"):
        wave_jax.load("hf:owner/llama@v2")
    assert asked == [("owner/llama", "v2", ["config.json"])]
    shutil.copytree(exported, tmp_path, dirs_exist_ok=True)
    wave_jax.load("hf:owner/sea")
    assert {file.name for file in exported.iterdir()} - {*asked[-1][2]} == {
        "README.md", "tokenizer_config.json"
    }  # fmt: skip


def test_no_private_path_is_published(exported: Path) -> None:
    for file in exported.iterdir():
        assert b"/home/me" not in file.read_bytes(), file


def test_the_card_shows_markup_as_text(exported: Path) -> None:
    card = ModelCard.load(exported / "README.md")
    (result,) = card.data.eval_results
    assert (result.metric_value, result.dataset_name) == (0.75, "sea.csv")
    assert yaml.safe_load(card.data.to_yaml())["pipeline_tag"] == "text-classification"
    plain = "\n".join(each for each in card.text.splitlines() if not each.startswith("    "))
    assert not any(part in plain for part in ("script", "---", "# b", "`d`"))
    assert "    accuracy" not in card.text
    assert '      "test_accuracy": 0.75,' in card.text
    config = json.loads((exported / "config.json").read_text("utf-8"))
    assert config["label2id"] == {name: k for k, name in enumerate(MARKUP)}
    assert config["architectures"] == ["WaveClassifier"]


def test_transformers_gives_the_ids_of_the_pieces(exported: Path, classifier: Classifier) -> None:
    from transformers import AutoTokenizer  # which takes seconds

    theirs = AutoTokenizer.from_pretrained(exported)
    pieces = classifier.tokenizer.pieces
    for text in [*TEXTS, *ODD, PROSE * 10]:
        ids = classifier.encode(text)[0][0]
        assert theirs(text, truncation=True)["input_ids"] == ids[ids < pieces].tolist(), text


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"wave_jax": {"format": 1}}, "lacks the part 'wave_jax' with its 'config': copy it again"),
        (
            {"wave_jax": {"format": 2, "version": "9.1", "config": {}}},
            r"has format 2, expected 1 \(by wave_jax 9.1; this is 0",
        ),
        (
            {"wave_jax": {"format": 1, "version": "9.1", "config": {"model": {"spin": 1}}}},
            r"unknown field model.spin.* \(by wave_jax 9.1; this is 0",
        ),
        ({"model_type": "bert"}, "the model's type is 'bert', expected 'wave_jax'"),
        ({"id2label": {"0": "a", "1": "a", "2": "b"}}, "id2label must name the classes"),
        ({"id2label": {"0": "a", "2": "b"}}, "id2label must name the classes"),
        ({"id2label": {"0": "a", "1": "b"}}, "classifier/.* is .*does not belong"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_other_configurations_are_refused(copy: Path, change: dict, message: str) -> None:
    path = copy / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text("utf-8")) | change))
    with pytest.raises(UserError, match=message):
        wave_jax.load(copy)


def test_a_truncated_file_of_weights(copy: Path) -> None:
    weights = copy / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])
    with pytest.raises(UserError, match="is not a whole safetensors file: .*; copy it again"):
        wave_jax.load(copy)
    weights.unlink()
    with pytest.raises(UserError, match="exported model without model.safetensors: expected a run"):
        wave_jax.load(copy)


def test_any_kind_of_network_and_a_limit_of_ones_own(tmp_path: Path) -> None:
    mean = _classifier(ModelConfig(kind="mean", dim=8))
    short = Classifier(
        mean.model,
        mean.params,
        tokenizer=mean.tokenizer,
        labels=mean.labels,
        config=replace(mean.config, seed=5),
        max_length=7,
    )
    found = write_hub(short, tmp_path / "mean", {})
    assert np.array_equal(found.logits(TEXTS), short.logits(TEXTS))
    card = (tmp_path / "mean" / "README.md").read_text("utf-8")
    assert '"seed": 5' in card
    assert "model-index" not in card


def test_names_of_data_are_published_without_paths(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "summary.json").write_text('{"test_accuracy": 0.5, "test_macro_f1": null}')
    for source, name in [
        ("/home/me/sea.csv", "sea.csv"), ("hf:owner/sea", "hf:owner/sea"), ("tfds:sea", "tfds:sea"),
    ]:  # fmt: skip
        config = Config(data=DataConfig(source=source))
        assert read_results(tmp_path, config) == {"data": name, "test_accuracy": 0.5}
