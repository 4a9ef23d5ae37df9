"""Configuration files: Python modules with `get_config(preset) -> Config`, named by path."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import NamedTuple

from wave_jax.errors import UserError, nearest_path
from wave_jax.training.config import Config


class Choice(NamedTuple):
    """What `--config` and `--preset` chose, and the arguments that are left."""

    path: Path | None
    preset: str | None
    rest: list[str]


def split_arguments(argv: Sequence[str]) -> Choice:
    """Takes `--config PATH` and `--preset NAME` out of the arguments (the last one of each counts).

    Raises:
      UserError: one of them stands without a value.
    """
    found: dict[str, str] = {}
    rest: list[str] = []
    arguments = iter(argv)
    for argument in arguments:
        name, equals, value = argument.partition("=")
        if name not in ("--config", "--preset"):
            rest.append(argument)
            continue
        if not equals:
            value = next(arguments, "")
        if not value or value.startswith("--"):
            raise UserError(f"{name} needs a value, such as {_EXAMPLES[name]}")
        found[name] = value
    path = Path(found["--config"]) if "--config" in found else None
    return Choice(path, found.get("--preset"), rest)


def load_config_file(path: Path, preset: str | None = None) -> Config:
    """Returns what the file's `get_config(preset)` returns; without a preset, its own default.

    The file is executed: name only files that you trust.

    Raises:
      UserError: there is no such file (a near name is given), it has no `get_config`, it fails
        (with the line), or it returns something else than a `Config`.
    """
    module = _execute(path)
    get_config = getattr(module, "get_config", None)
    if not callable(get_config):
        raise UserError(f"{path} has no function get_config(preset) that returns a Config")
    try:
        config = get_config() if preset is None else get_config(preset)
    except UserError:
        raise
    except Exception as error:
        raise _located(path, error) from error
    if not isinstance(config, Config):
        raise UserError(
            f"{path}: get_config must return a wave_jax.training.config.Config, "
            f"got {type(config).__name__}"
        )
    return config


_CONFIGS = Path(__file__).parents[2] / "configs"
_EXAMPLES = {"--config": "configs/ag_news.py", "--preset": "best"}


def _execute(path: Path) -> ModuleType:
    if not path.is_file():
        near = nearest_path(path, ".py") or nearest_path(_CONFIGS / path.name, ".py")
        raise UserError(f"no config file {str(path)!r}{near}")
    module = ModuleType(f"wave_jax_config_{path.stem}")
    module.__file__ = str(path)
    sys.modules[module.__name__] = module  # dataclasses of the file look their module up
    try:
        exec(compile(path.read_bytes(), str(path), "exec"), module.__dict__)
    except UserError:
        raise
    except Exception as error:
        raise _located(path, error) from error
    return module


def _located(path: Path, error: Exception) -> UserError:
    """Names the deepest line of the file that the error came through."""
    if isinstance(error, SyntaxError) and error.filename == str(path):
        lines = [error.lineno]
    else:
        frames = traceback.extract_tb(error.__traceback__)
        lines = [frame.lineno for frame in frames if frame.filename == str(path)]
    place = f", line {lines[-1]}" if lines else ""
    return UserError(f"{path}{place}: {type(error).__name__}: {error}")
