"""The command line as a whole."""

from __future__ import annotations

import pytest

import wave_jax
from wave_jax.cli.app import COMMANDS

from .conftest import Command, assert_refused


def test_usage_lists_the_commands(command: Command) -> None:
    for argv, status in (((), 2), (("--help",), 0)):
        done = command(*argv)
        assert done.status == status
        assert all(name in done.out for name in COMMANDS)


def test_version(command: Command) -> None:
    assert command("--version").out == f"wave_jax {wave_jax.__version__}\n"


def test_an_unknown_command_is_met_with_the_nearest(command: Command) -> None:
    assert_refused(command("trian"), "'trian'", "'train'")


@pytest.mark.parametrize("name", COMMANDS)
def test_help_has_examples_and_options(
    name: str, command: Command, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        command(name, "--help")
    assert caught.value.code == 0
    shown = capsys.readouterr().out
    assert "Examples:" in shown
    assert f"python -m wave_jax {name}" in shown
