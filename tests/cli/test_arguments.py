"""Options: every field is one, and a typing error is met with the nearest name."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import pytest
import tyro

from wave_jax.cli.arguments import options, parse
from wave_jax.errors import UserError
from wave_jax.training.config import Config


def _parse(*argv: str) -> Config:
    return parse(Config(), argv, prog="train.py", description="Trains.")


def test_every_field_is_an_option() -> None:
    names = options(Config)
    for name in ("--seed", "--workdir", "--data.text-columns", "--model.op", "--mesh.model"):
        assert name in names


def test_no_argument_changes_nothing() -> None:
    assert _parse() == Config()


def test_values_of_all_kinds() -> None:
    config = _parse(
        *["--data.text-columns", "title", "body", "--model.scopes", "input", "sentence"],
        *["--train.steps", "7", "--train.batch_size=3", "--model.word-dropout", "0.25"],
        *["--data.no-lowercase", "--seed", "5"],
    )
    assert config.data.text_columns == ("title", "body")
    assert config.model.scopes == ("input", "sentence")
    assert (config.train.steps, config.train.batch_size, config.seed) == (7, 3, 5)
    assert config.model.word_dropout == 0.25
    assert not config.data.lowercase


@pytest.mark.parametrize(
    ("argv", "expected"),
    [
        (["--train.wandb"], True),
        (["--train.wandb", "true", "--seed", "1"], True),
        (["--train.wandb=True"], True),
        (["--train.no-wandb"], False),
        (["--train.wandb", "no"], False),
    ],
)
def test_a_flag_may_be_written_each_way(argv: list[str], expected: bool) -> None:
    assert _parse(*argv).train.wandb is expected


@pytest.mark.parametrize(
    ("argv", "parts"),
    [
        (["--model.opp", "modulation"], ["--model.opp", "'--model.op'"]),
        (["--epochs", "3"], ["--epochs", "--help"]),
        (["--train.batchsize=3"], ["'--train.batch-size'"]),
        (["--model.op", "modulaton"], ["--model.op", "'modulaton'", "'modulation'"]),
        (["--model.op=x"], ["modulation, interference, both"]),
        (["--model.scopes", "input", "sentense"], ["'sentense'", "'sentence'"]),
        (["--train.no-epochs"], ["--train.no-epochs"]),
        (["--train.epochs", "many"], ["--train.epochs", "whole number", "'many'"]),
        (["--train.learning-rate=fast"], ["--train.learning-rate", "a number", "'fast'"]),
        (["--model.ffn-dim", "1.5"], ["--model.ffn-dim", "whole number", "'1.5'"]),
        (["--model.scopes", "input"], ["--model.scopes", "2 values", "sentence", "got input"]),
        (["--data.source", "--seed", "1"], ["--data.source needs a value", "--data.source=VALUE"]),
        (["--seed"], ["--seed needs a whole number"]),
        (
            ["--data.text-columns", "title", "--data.text-columns", "body"],
            ["--data.text-columns is given twice", "after one"],
        ),
        (["--seed", "1", "2"], ["unexpected argument '2'"]),
        (["seed", "1"], ["unexpected argument 'seed'", "'--seed'"]),
        (["-x"], ["unexpected argument '-x'"]),
        ([__file__], [f"did you mean '--data.source {__file__}'"]),
        (["--train.wandb=maybe"], ["--train.wandb", "true or false", "'maybe'"]),
    ],
)
def test_a_mistake_is_named_with_the_nearest(argv: list[str], parts: list[str]) -> None:
    with pytest.raises(UserError) as caught:
        _parse(*argv)
    assert all(part in str(caught.value) for part in parts), caught.value


@dataclass(frozen=True)
class _Positional:
    folder: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="WORKDIR")]
    text: tyro.conf.UseAppendAction[tuple[str, ...]] = ()


def _parse_positional(*argv: str) -> _Positional:
    default = _Positional(tyro.MISSING)
    fixed = {"--vocab": "it is the run's"}
    return parse(default, argv, prog="predict", description="", elsewhere=fixed)


def test_positions_and_repeated_options() -> None:
    given = _parse_positional("--text", "-5 degrees", "runs/a", "--text=--b")
    assert given == _Positional("runs/a", ("-5 degrees", "--b"))


@pytest.mark.parametrize(
    ("argv", "parts"),
    [
        ([], ["WORKDIR is missing", "predict WORKDIR"]),
        (["a", "b"], ["unexpected argument 'b'", "WORKDIR"]),
        (["--folder", "a"], ["stands without --folder"]),
        (["a", "--text", "b", "c"], ["unexpected argument 'c'", "quotes"]),
        (["a", "--vocab", "b"], ["--vocab", "it is the run's"]),
    ],
)
def test_a_mistaken_position_is_named(argv: list[str], parts: list[str]) -> None:
    with pytest.raises(UserError) as caught:
        _parse_positional(*argv)
    assert all(part in str(caught.value) for part in parts), caught.value


def test_help_teaches(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        _parse("--help")
    assert caught.value.code == 0
    shown = capsys.readouterr().out
    assert "--model.op" in shown
    assert "Pieces" in shown or "pieces" in shown, "the docstrings of fields are shown"
