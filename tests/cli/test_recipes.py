"""Recipes by name and by path, and what is said when one is wrong."""

from __future__ import annotations

import ast
import itertools
import os
import tomllib
from dataclasses import fields, replace
from pathlib import Path

import jax
import pytest

from wave_jax.cli.train import read_arguments
from wave_jax.data.config import DataConfig
from wave_jax.errors import UserError
from wave_jax.models.build import build_model
from wave_jax.models.config import ModelConfig, sizes
from wave_jax.runs import recipes
from wave_jax.runs.job import train
from wave_jax.runs.recipes import find_recipe, load_recipe, recipe_folder
from wave_jax.training.config import Config, TrainConfig

from .conftest import ROOT, write_texts

RECIPES = sorted(path.stem for path in (ROOT / "configs").glob("*.py"))
GOOD = """
from wave_jax.training.config import Config
def get_config(preset="paper"):
    return Config(seed=len(preset))
"""
# Fields that decide nothing, or that only a user's own data, network or disk asks for.
LEFT_OUT = {
    DataConfig: {"text_columns", "columns", "test", "label_column", "on_unlabelled", "errors"}
    | {"tfds_dir", "tfds_manual_dir", "vocab", "cache_dir", "group_column"}
    | {"delimiter", "encoding"},
    ModelConfig: {"heads", "pool", "pretrained"},
    TrainConfig: {
        "steps",
        "eval_every",
        "early_stopping",
        "checkpoint_every",
        "baseline",
        "init_from",
    }
    | {"keep", "log_every", "eval_batch_size", "tensorboard", "wandb"},
}


def test_a_bare_name_is_an_installed_recipe(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "ag_news").write_text("raise SystemExit('executed')")
    (tmp_path / "mine.py").write_text(GOOD)
    assert find_recipe("ag_news") == recipe_folder() / "ag_news.py"
    assert load_recipe("mine.py", "best") == Config(seed=4)
    assert load_recipe(str(tmp_path / "mine.py")) == Config(seed=5)
    assert sorted(os.listdir(tmp_path)) == ["ag_news", "mine.py"], "nothing is left beside it"


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("agnews", "no recipe 'agnews': expected ag_news, .* did you mean 'ag_news'?"),
        ("configs/agnews.py", "no config file 'configs/agnews.py', did you mean .*ag_news"),
        ("elsewhere/ag_news.py", "no config file 'elsewhere/ag_news.py', did you mean 'ag_news'?"),
    ],
)
def test_an_unknown_recipe_is_answered_with_the_nearest(name: str, said: str) -> None:
    with pytest.raises(UserError, match=said):
        load_recipe(name)


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("x = 1\n", ["no function get_config"]),
        ("x = (\n\ny = 2\n", ["mine.py, line 1: SyntaxError"]),
        ("import nonsense_xyz\n", ["line 1", "nonsense_xyz"]),
        ("def get_config(preset=None):\n    return 1 / 0\n", ["line 2", "ZeroDivisionError"]),
        ("def get_config(preset=None):\n    return {}\n", ["Config", "dict"]),
    ],
)
def test_a_wrong_file_is_named_with_its_line(tmp_path: Path, text: str, parts: list[str]) -> None:
    path = tmp_path / "mine.py"
    path.write_text(text)
    with pytest.raises(UserError) as caught:
        load_recipe(str(path))
    assert all(part in str(caught.value) for part in parts), caught.value


@pytest.mark.parametrize("name", RECIPES)
def test_presets(name: str) -> None:
    paper, adapted, best = (load_recipe(name, preset) for preset in ("paper", "adapted", "best"))
    assert paper.train.learning_rate == 1e-3, "the papers' settings"
    assert (paper.train.batch_size, paper.model.op) == (64, "modulation")
    assert paper.train.epochs == 4
    assert sizes(paper.model) == replace(
        sizes(adapted.model), position="sinusoidal", word_dropout=0
    )
    assert (paper.model.norms, adapted.model.norms) == (1, 2)
    assert (sizes(adapted.model).position, sizes(adapted.model).word_dropout) == ("none", 0.4)
    assert (adapted.data, adapted.train) == (paper.data, paper.train)
    assert best.data.source == paper.data.source, "'best' learns from the same texts"
    with pytest.raises(
        UserError, match="no preset 'bset', only paper, adapted, best, did you mean 'best'"
    ):
        load_recipe(name, "bset")


@pytest.mark.parametrize("name", [name for name in RECIPES if name != "default"])
def test_the_papers_network_has_its_number_of_parameters(name: str) -> None:
    """2.4 million for 4 classes, the embedding table left out: with one norm 2,366,980."""
    config = load_recipe(name, "paper").model
    model = build_model(config, vocab_size=30_522, num_classes=4, max_length=128)
    ids = jax.ShapeDtypeStruct((1, 4), "int32"), jax.ShapeDtypeStruct((1, 4), "bool")
    params = jax.eval_shape(model.init, jax.random.key(0), *ids)["params"]
    assert sum(x.size for x in jax.tree.leaves(params | {"embed": ()})) == 2_366_980


@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_states_its_whole_run(name: str) -> None:
    """Every field that decides the run is written in the file, whatever its default elsewhere."""
    calls = {
        node.func.id: {keyword.arg for keyword in node.keywords}
        for node in ast.walk(ast.parse(find_recipe(name).read_text("utf-8")))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
    }
    for cls, left_out in LEFT_OUT.items():
        assert {each.name for each in fields(cls)} - left_out == calls[cls.__name__]
    assert "seed" in calls["Config"]


QUICK = [("ag_news", "paper"), ("default", "best"), ("imdb", "adapted")]
OTHERS = sorted(set(itertools.product(RECIPES, ("paper", "adapted", "best"))) - set(QUICK))


@pytest.mark.parametrize(
    ("name", "preset"), [*QUICK, *(pytest.param(*each, marks=pytest.mark.slow) for each in OTHERS)]
)
def test_one_step(name: str, preset: str, tmp_path: Path) -> None:
    config = load_recipe(name, preset)
    source = str(write_texts(tmp_path / "texts.csv", 100))
    columns = {"text_columns": ("title", "body"), "label_column": "topic"}
    cache = str(tmp_path / "cache")
    config = replace(
        config,
        data=replace(config.data, source=source, cache_dir=cache, **columns),
        model=replace(config.model, dim=16),
        train=replace(config.train, steps=1, baseline=False),
    )
    summary = train(config, workdir=tmp_path / "run")
    assert summary.steps == 1
    assert 18 <= summary.test_examples <= 22, "a fifth, but equal texts stay together"


def test_without_config_the_default_recipe_is_used() -> None:
    arguments = read_arguments(["--seed", "3"], prog="train")
    expected = replace(load_recipe("default"), seed=3)
    assert {each.name: getattr(arguments, each.name) for each in fields(Config)} == vars(expected)
    assert read_arguments(["--preset", "paper"], prog="train").train.epochs == 4
    other = read_arguments(["--model.kind", "transformer"], prog="train").model
    assert other == replace(load_recipe("default", "adapted").model, kind="transformer", norms=2)


def test_what_a_preset_states_is_left_out_where_it_has_no_effect() -> None:
    for argv in (["--model.head", "linear"], ["--model.kind", "mean"], ["--model.kind", "bert"]):
        config = read_arguments(["--config", "ag_news", *argv], prog="train").model
        build_model(config, vocab_size=128, num_classes=4, max_length=128)
        assert config.norms == 2


def test_the_wheel_has_every_package_and_the_recipes() -> None:
    tool = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["setuptools"]
    folders = {path.parent for path in (ROOT / "wave_jax").rglob("__init__.py")}
    packages = {".".join(folder.relative_to(ROOT).parts) for folder in folders}
    assert set(tool["packages"]) == packages | {"wave_jax.configs"}
    assert tool["package-dir"] == {"wave_jax.configs": "configs"}


def test_an_installation_reads_its_own_recipes_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not those of a folder configs/ that another package has put beside it."""
    monkeypatch.setattr(recipes, "__file__", str(tmp_path / "wave_jax" / "runs" / "recipes.py"))
    (tmp_path / "configs").mkdir()
    assert recipe_folder() == tmp_path / "wave_jax" / "configs"
    (tmp_path / "pyproject.toml").touch()
    assert recipe_folder() == tmp_path / "configs", "a checkout"
    (tmp_path / "wave_jax" / "configs").mkdir(parents=True)
    assert recipe_folder() == tmp_path / "wave_jax" / "configs"
