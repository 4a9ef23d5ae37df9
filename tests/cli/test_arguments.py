"""Options: every field is one, and a typing error is met with the nearest name."""

from __future__ import annotations

import pytest

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
    ],
)
def test_a_mistake_is_named_with_the_nearest(argv: list[str], parts: list[str]) -> None:
    with pytest.raises(UserError) as caught:
        _parse(*argv)
    assert all(part in str(caught.value) for part in parts), caught.value


@pytest.mark.parametrize("argv", [["--train.epochs", "many"], ["--model.scopes", "input"], ["x"]])
def test_a_wrong_type_leaves_with_status_2(
    argv: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        _parse(*argv)
    assert caught.value.code == 2
    assert argv[0] in capsys.readouterr().err


def test_help_teaches(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        _parse("--help")
    assert caught.value.code == 0
    shown = capsys.readouterr().out
    assert "--model.op" in shown
    assert "Pieces" in shown or "pieces" in shown, "the docstrings of fields are shown"
