"""Configuration files by path, and what is said when one is wrong."""

from __future__ import annotations

from pathlib import Path

import pytest

from wave_jax.cli.recipes import load_config_file, split_arguments
from wave_jax.errors import UserError
from wave_jax.training.config import Config

CONFIGS = Path(__file__).parents[2] / "configs"
GOOD = """
from wave_jax.training.config import Config
def get_config(preset="paper"):
    return Config(seed=len(preset))
"""


def test_config_and_preset_are_taken_out() -> None:
    choice = split_arguments(["--seed", "1", "--config=a.py", "--preset", "best", "--x"])
    assert (choice.path, choice.preset, choice.rest) == (
        Path("a.py"),
        "best",
        ["--seed", "1", "--x"],
    )


@pytest.mark.parametrize("argv", [["--config"], ["--preset", "--seed"], ["--config="]])
def test_a_missing_value_is_said(argv: list[str]) -> None:
    with pytest.raises(UserError, match="needs a value"):
        split_arguments(argv)


def test_a_file_is_executed(tmp_path: Path) -> None:
    path = tmp_path / "mine.py"
    path.write_text(GOOD)
    assert load_config_file(path, "best") == Config(seed=4)
    assert [entry.name for entry in tmp_path.iterdir()] == ["mine.py"], "nothing is left beside it"


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
        load_config_file(path)
    assert all(part in str(caught.value) for part in parts), caught.value


def test_a_missing_file_is_met_with_the_nearest() -> None:
    with pytest.raises(UserError, match=r"did you mean .*ag_news\.py"):
        load_config_file(CONFIGS / "agnews.py")
    with pytest.raises(UserError, match=r"did you mean .*configs.ag_news\.py"):
        load_config_file(Path("ag_news"))


@pytest.mark.parametrize("path", sorted(CONFIGS.glob("*.py")), ids=lambda path: path.stem)
def test_the_repositorys_files(path: Path) -> None:
    paper, best = load_config_file(path, "paper"), load_config_file(path, "best")
    assert paper.train.learning_rate == 1e-3, "the papers' settings"
    assert (paper.train.batch_size, paper.model.op) == (64, "modulation")
    assert paper.train.epochs <= 4
    assert best.data == paper.data, "'best' learns from the same texts"
    with pytest.raises(UserError, match="did you mean 'best'"):
        load_config_file(path, "bset")
