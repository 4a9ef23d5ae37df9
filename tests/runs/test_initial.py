"""Training on from an own run: what is kept, what is new, and what is refused."""

from __future__ import annotations

import dataclasses
import io
import json
import shutil

import numpy as np
import pytest
from rich.console import Console

from wave_jax.data.config import DataConfig
from wave_jax.data.dataset import load_dataset
from wave_jax.errors import UserError
from wave_jax.export.hub import write_hub
from wave_jax.inference import load
from wave_jax.models.config import ModelConfig
from wave_jax.runs.checkpoints import restore_params
from wave_jax.runs.files import load_tokenizer
from wave_jax.runs.initial import read_origin, save_initial
from wave_jax.runs.inputs import count_learned
from wave_jax.runs.job import train
from wave_jax.training.config import Config, TrainConfig

WORDS = {"sea": "wave tide salt boat", "land": "hill tree road farm", "sky": "cloud wind star bird"}


def write(path, labels, count):
    rng = np.random.default_rng(0)
    with path.open("w") as file:
        for index in range(count):
            label = labels[index % len(labels)]
            words = " ".join(rng.choice(WORDS[label].split(), 6))
            file.write(json.dumps({"text": words, "label": label}) + "\n")
    return str(path)


def config_of(source, cache, **learning):
    settings = {"batch_size": 32, "learning_rate": 2e-2, "warmup_steps": 0, "weight_decay": 0.0}
    return Config(
        data=DataConfig(source=source, cache_dir=str(cache), ngrams=2, test_fraction=0),
        model=ModelConfig(
            dim=8, variants="table", head="linear", linear_path=True, dropout=0.0, word_dropout=0.0
        ),
        train=TrainConfig(**settings | learning),
    )


@pytest.fixture(scope="module")
def origin(tmp_path_factory):
    """A finished run that knows two classes."""
    folder = tmp_path_factory.mktemp("origin")
    source = write(folder / "two.jsonl", ["sea", "sky"], 120)
    config = config_of(source, folder / "cache", epochs=2)
    train(config, workdir=folder / "run", console=Console(file=io.StringIO()))
    return folder / "run", config


@pytest.fixture(scope="module")
def onward(origin, tmp_path_factory):
    """A run on three classes that starts from it and makes steps of nothing."""
    folder, (first, config) = tmp_path_factory.mktemp("onward"), origin
    moved = shutil.copytree(first, folder / "moved")
    source = write(folder / "three.jsonl", ["sky", "land", "sea"], 150)
    config = config_of(
        source, config.data.cache_dir, epochs=1, refit=True, learning_rate=1e-12,
        init_from=str(moved),
    )  # fmt: skip
    console = Console(file=io.StringIO(), width=200)
    train(config, workdir=folder / "run", console=console)
    shutil.rmtree(moved)
    return folder / "run", config, console.file.getvalue()


def test_known_classes_keep_their_weights_and_new_ones_are_drawn(origin, onward):
    assert "Starts from the parameters of" in onward[2]
    assert "classes new to it: 1" in onward[2]
    old, _ = restore_params(origin[0], "best")
    assert json.loads((onward[0] / "labels.json").read_text()) == ["land", "sea", "sky"]
    assert json.loads((origin[0] / "labels.json").read_text()) == ["sea", "sky"]
    for folder in (onward[0], onward[0] / "refit"):
        new, _ = restore_params(folder, "best")
        table, before = new["embed"]["embedding"], old["embed"]["embedding"]
        assert table.shape == (before.shape[0], before.shape[1] + 1)
        close = {"rtol": 0, "atol": 1e-9}
        np.testing.assert_allclose(table[:, :-3], before[:, :-2], **close)
        np.testing.assert_allclose(table[:, -2:], before[:, -2:], **close)
        assert np.abs(table[:, -3]).max() < 1e-9, "a new class's weights start at zero"
        kernel = new["classifier"]["kernel"]
        np.testing.assert_allclose(kernel[:, 1:], old["classifier"]["kernel"], **close)
        assert np.abs(kernel[:, 0]).min() > 1e-6, "drawn"
        bias = new["classifier"]["bias"]
        np.testing.assert_allclose(bias[1:], old["classifier"]["bias"], **close)


def test_the_vocabulary_is_that_of_the_other_run(origin, onward):
    one, two = (load_tokenizer(each[0], each[1].data) for each in (origin, onward))
    assert one.fingerprint == two.fingerprint
    before, after = (load(each[0]).logits("wave tide salt boat") for each in (origin, onward))
    np.testing.assert_allclose(after[1:], before, rtol=0, atol=1e-6)


def test_an_exported_model_is_as_good_as_its_run(origin, tmp_path):
    first, config = origin
    write_hub(load(first, fold=False), tmp_path / "hub", {})
    onward = dataclasses.replace(
        config, train=dataclasses.replace(config.train, init_from=str(tmp_path / "hub"), steps=1)
    )
    console = Console(file=io.StringIO(), width=300)
    train(onward, workdir=tmp_path / "onward", console=console)
    assert "held-out texts that it has learned from: not known" in console.file.getvalue()
    for name, place in (("run", first), ("model", tmp_path / "hub")):
        learning = dataclasses.replace(config.train, init_from=str(place))
        onward = dataclasses.replace(config, train=learning)
        assert read_origin(onward).fingerprint == load_tokenizer(first, config.data).fingerprint
        (tmp_path / name).mkdir()
        save_initial(onward, ["land", "sea"], tmp_path / name)
    one, two = (tmp_path / name / "initial.safetensors" for name in ("run", "model"))
    assert one.read_bytes() == two.read_bytes()


def test_it_resumes_and_refits_where_the_other_run_has_gone(onward, tmp_path):
    folder, config, _ = onward
    assert not (folder.parent / "moved").exists()
    again = shutil.copytree(folder, tmp_path / "run")
    (again / "summary.json").unlink()
    shutil.rmtree(again / "refit")
    summary = train(config, workdir=again, console=Console(file=io.StringIO()))
    assert summary.refit_steps
    one, two = (restore_params(each / "refit", "best")[0] for each in (folder, again))
    np.testing.assert_array_equal(one["classifier"]["kernel"], two["classifier"]["kernel"])


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"model": {"dim": 16}}, r"--model\.dim is 16, but 8 in"),
        ({"model": {"linear_path": False}}, r"--model\.linear-path is False, but True in"),
        ({"data": {"ngrams": 1}}, r"--data\.ngrams is 1, but 2 in"),
        ({"data": {"vocab": "vocab.txt"}}, r"leave one of them out"),
        ({"model": {"pretrained": "bert"}}, r"leave one of them out"),
        ({"train": {"init_from": "nowhere"}}, r"--train\.init-from: no folder 'nowhere'"),
        ({"train": {"init_from": "."}}, r"holds no config\.json"),
    ],
)
def test_what_does_not_fit_is_refused_on_one_line(origin, changes, said, tmp_path, monkeypatch):
    first, config = origin
    monkeypatch.chdir(tmp_path)
    config = dataclasses.replace(
        config, train=dataclasses.replace(config.train, init_from=str(first))
    )
    for section, values in changes.items():
        changed = dataclasses.replace(getattr(config, section), **values)
        config = dataclasses.replace(config, **{section: changed})
    with pytest.raises(UserError, match=said) as caught:
        train(config, workdir=tmp_path / "run", console=Console(file=io.StringIO()))
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "run").exists()


def test_an_unfinished_run_is_refused(origin, tmp_path):
    first, config = origin
    other = shutil.copytree(first, tmp_path / "other")
    (other / "summary.json").unlink()
    config = dataclasses.replace(
        config, train=dataclasses.replace(config.train, init_from=str(other))
    )
    with pytest.raises(UserError, match="is not finished"):
        train(config, workdir=tmp_path / "run", console=Console(file=io.StringIO()))


def test_what_the_first_run_has_learned_is_counted(origin, tmp_path):
    """A run that starts from one which knows its test texts: said at once, and at evaluation."""
    first, config = origin
    data = dataclasses.replace(config.data, test_fraction=0.3)
    learning = dataclasses.replace(config.train, init_from=str(first), steps=1)
    console = Console(file=io.StringIO(), width=300)
    config = dataclasses.replace(config, data=data, train=learning)
    train(config, workdir=tmp_path / "run", console=console)
    test = load_dataset(data).test
    said = console.file.getvalue()
    held = len(test) + len(load_dataset(data).validation)
    assert f"held-out texts that it has learned from: {held} of {held}" in said
    assert count_learned(tmp_path / "run", test.texts, refit=False) == len(test)
