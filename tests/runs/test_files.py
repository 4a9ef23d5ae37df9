"""config.json is read strictly, and compared by what decides a run."""

from __future__ import annotations

import dataclasses
import json

import pytest

from wave_jax.data.config import DataConfig
from wave_jax.errors import UserError
from wave_jax.models.config import ModelConfig
from wave_jax.runs.files import config_from_dict, differences, load_config, save_config
from wave_jax.training.config import Config, MeshConfig, TrainConfig

CONFIG = Config(
    data=DataConfig(source="mine.csv", text_columns=("title", "body")),
    model=ModelConfig(scopes=("input", "sentence"), dropout=0.5),
    train=TrainConfig(steps=7, learning_rate=1),
    seed=3,
)


def test_it_comes_back_as_it_was(tmp_path):
    save_config(CONFIG, tmp_path)
    assert load_config(tmp_path) == CONFIG


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"model": {"dimm": 3}}, "unknown field model.dimm, did you mean 'dim'?"),
        ({"sed": 3}, "unknown field sed"),
        ({"model": {"dim": "3"}}, "model.dim is '3', expected int"),
        ({"model": {"dim": 3.0}}, "model.dim is 3.0, expected int"),
        ({"model": {"op": "mod"}}, "model.op is 'mod', expected one of"),
        ({"model": {"scopes": ["input"]}}, "model.scopes"),
        ({"data": {"text_columns": "text"}}, "data.text_columns is 'text', expected a list"),
        ({"data": {"text_columns": [3]}}, "data.text_columns is [3], expected a list"),
        ({"train": 3}, "train is 3, expected an object"),
        ([], "config.json is [], expected an object"),
    ],
)
def test_fields_that_do_not_fit_are_named(change, message):
    with pytest.raises(UserError) as caught:
        config_from_dict(change)
    assert message in str(caught.value)


def test_absent_fields_have_their_defaults():
    assert config_from_dict({"train": {"steps": None, "epochs": 2}}).train.epochs == 2


@pytest.mark.parametrize("text", ["{", "\xff", "[" * 100_000])
def test_a_file_that_is_not_json(tmp_path, text):
    (tmp_path / "config.json").write_text(text, encoding="latin-1")
    with pytest.raises(UserError, match="cannot be read as JSON"):
        load_config(tmp_path)


def test_no_file(tmp_path):
    with pytest.raises(UserError, match="expected the workdir of a training run"):
        load_config(tmp_path)


def test_differences_name_fields_that_decide_the_numbers():
    other = dataclasses.replace(CONFIG, seed=4, workdir="elsewhere", mesh=MeshConfig(data=8))
    other = dataclasses.replace(other, model=dataclasses.replace(other.model, dim=5))
    assert differences(CONFIG, other) == ["model.dim: 768 -> 5", "seed: 3 -> 4"]
    assert differences(CONFIG, CONFIG) == []
    assert json.loads(json.dumps(dataclasses.asdict(CONFIG)))
