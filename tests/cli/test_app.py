"""The command line as a whole: commands, options, and what is said about a slip."""

from __future__ import annotations

import io
from pathlib import Path
from types import SimpleNamespace

import pytest

import wave_jax
from wave_jax.cli import app
from wave_jax.cli.app import COMMANDS, parse
from wave_jax.errors import PeerLost, UserError
from wave_jax.training.config import Config

from .conftest import Command, assert_refused, process


def test_usage_lists_the_commands(command: Command) -> None:
    for argv, status in (((), 2), (("--help",), 0)):
        done = command(*argv)
        assert done.status == status
        assert all(name in done.out for name in COMMANDS)


def test_version(command: Command) -> None:
    assert command("--version").out == f"wave_jax {wave_jax.__version__}\n"


def test_an_unknown_command_is_answered_with_the_nearest(command: Command) -> None:
    assert_refused(command("trian"), "'trian'", "did you mean 'train'?")


@pytest.mark.parametrize("name", COMMANDS)
def test_help_has_examples_and_options(name: str, command: Command) -> None:
    done = command(name, "--help")
    assert done.status == 0
    assert "Examples:" in done.out
    assert f"python -m wave_jax {name}" in done.out
    assert "--help" in done.out.partition("Examples:")[2]


@pytest.mark.parametrize(
    ("error", "status", "said"),
    [
        (UserError("two\nlines"), 2, "error: two lines\n"),
        (PeerLost("process 1 has ended"), 1, "error: process 1 has ended\n"),
        (KeyboardInterrupt(), 130, "interrupted\n"),
    ],
)
def test_an_exception_becomes_an_exit_status(
    error: BaseException,
    status: int,
    said: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def fail(argv: list[str], prog: str) -> int:
        raise error

    monkeypatch.setattr("wave_jax.cli.train.main", fail)
    assert app.main(["train"]) == status
    assert capsys.readouterr().err == said


def test_a_bug_keeps_its_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("wave_jax.cli.train.main", lambda argv, prog: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        app.main(["train"])


def _parse(*argv: str) -> Config:
    return parse(
        Config(), argv, prog="train.py", description="Trains.", file_option="--data.source"
    )


def test_no_option_changes_nothing() -> None:
    assert _parse() == Config()


def test_options_of_all_types() -> None:
    config = _parse(
        *["--data.text-columns", "title", "body", "--model.scopes", "input", "sentence"],
        *["--train.steps", "7", "--train.batch_size=3", "--model.word-dropout", "0.25"],
        *["--data.no-lowercase", "--train.wandb", "--seed", "5"],
    )
    assert config.data.text_columns == ("title", "body")
    assert config.model.scopes == ("input", "sentence")
    assert (config.train.steps, config.train.batch_size, config.seed) == (7, 3, 5)
    assert config.model.word_dropout == 0.25
    assert (config.data.lowercase, config.train.wandb) == (False, True)


@pytest.mark.parametrize(
    ("argv", "parts"),
    [
        (["--model.opp", "modulation"], ["unknown option --model.opp, did you mean --model.op?"]),
        (["--model.op", "modulaton"], ["--model.op", "'modulaton'", "'modulation'"]),
        (["--train.epochs", "many"], ["--train.epochs", "'many'"]),
        (["--model.scopes", "input"], ["--model.scopes", "2 values"]),
        (["--data.source", "--seed", "1"], ["--data.source"]),
    ],
)
def test_a_wrong_option_is_refused(argv: list[str], parts: list[str], command: Command) -> None:
    assert_refused(command("train", *argv), *parts)


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ("--lr", "--train.learning-rate"),
        ("--learning_rate=0.1", "--train.learning-rate"),
        ("--epochs", "--train.epochs"),
        ("--batch-size", "--train.batch-size"),
        ("--bs", "--train.batch-size"),
        ("--num-epochs", "--train.epochs"),
        ("--wd", "--train.weight-decay"),
        ("--class-weights", "--train.class-weights"),
        ("--class_weight", "--train.class-weights"),
        ("--dropout", "--model.dropout"),
        ("--dim", "--model.dim"),
        ("--max-length", "--data.max-length"),
        ("--max-len", "--data.max-length"),
        ("--test", "--data.test"),
        ("--source", "--data.source"),
        ("--data", "--data.source"),
        ("--label-column", "--data.label-column"),
        ("--no-refit", "--train.no-refit"),
        ("--train.dim", "--model.dim"),
        ("--data.sauce", "--data.source"),
    ],
)
def test_an_unknown_option_is_answered_with_the_one_that_was_meant(
    given: str, meant: str, command: Command
) -> None:
    done = command("train", "--seed", "1", given, "3")
    assert_refused(done, f"unknown option {given.partition('=')[0]}, did you mean {meant}?")


def test_options_of_other_commands_and_what_is_like_nothing(command: Command) -> None:
    assert_refused(command("evaluate", "run", "--source", "x.csv"), "did you mean --data.source?")
    assert_refused(command("evaluate", "run", "--xyzzy"), "--xyzzy: --help lists all options")
    assert_refused(command("train", "--verbose"), "--verbose: --help lists all options")
    assert_refused(command("predict", "run", "--id", "x"), "did you mean --id-column?")


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (["seed", "1"], "unexpected argument 'seed': options begin with --"),
        (["--seed", "1", "2"], "unexpected argument '2'"),
        ([__file__], f"did you mean '--data.source {__file__}'"),
    ],
)
def test_a_stray_argument_is_refused(argv: list[str], said: str) -> None:
    with pytest.raises(UserError) as caught:
        _parse(*argv)
    assert said in str(caught.value)


@pytest.mark.parametrize("name", ["evaluate", "predict", "probe"])
def test_a_workdir_is_needed(name: str, command: Command) -> None:
    assert_refused(command(name), "WORKDIR")
    assert_refused(command(name, "a", "b"), "unexpected argument 'b'")


def test_a_character_that_the_terminal_lacks_is_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """As a class's name on Windows, whose code page is not UTF-8."""
    stdout = io.TextIOWrapper(io.BytesIO(), "cp1252")
    monkeypatch.setattr("sys.stdout", stdout)
    shown = SimpleNamespace(main=lambda argv, prog: print("wave 波"))
    monkeypatch.setattr("importlib.import_module", lambda name: shown)
    assert app.run_command("evaluate", []) == 0
    assert stdout.buffer.getvalue() == b"wave \\u6ce2\n"


def test_the_current_folder_is_no_place_for_modules(tmp_path: Path) -> None:
    for name in ("random", "tokenize", "rich", "tyro", "configs", "jax"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit('executed')")
    done = process("wave_jax", "predict", tmp_path, "--text", "a", cwd=tmp_path)
    assert_refused(done, "config.json")
