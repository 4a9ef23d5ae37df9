"""Recipes: Python files that state a whole run, installed with the package or a user's own."""

from __future__ import annotations

import runpy
import traceback
from pathlib import Path
from typing import get_args, get_type_hints

from wave_jax.errors import UserError, nearest, nearest_path
from wave_jax.training.config import Config


def load_recipe(name: str, preset: str | None = None) -> Config:
    """Returns the configuration of a recipe, by default that of its own default preset.

    A bare name such as 'ag_news' is a recipe installed with the package, anything else
    ('configs/ag_news.py') the path of a file, which is executed: name only files that you trust.
    UserError where there is no such recipe or preset, or the file does not give a `Config`.
    """
    path = find_recipe(name)
    try:
        get_config = runpy.run_path(str(path)).get("get_config")
        if not callable(get_config):
            raise UserError(f"{path} has no function get_config(preset) that returns a Config")
        presets = get_args(get_type_hints(get_config).get("preset"))
        if preset is not None and presets and preset not in presets:
            near = nearest(preset, presets)
            raise UserError(f"{path} has no preset {preset!r}, only {', '.join(presets)}{near}")
        config = get_config() if preset is None else get_config(preset)
    except UserError:
        raise
    except Exception as error:
        raise UserError(f"{path}{_line(path, error)}: {type(error).__name__}: {error}") from error
    if not isinstance(config, Config):
        expected, came = "a wave_jax.training.config.Config", type(config).__name__
        raise UserError(f"{path}: get_config must return {expected}, got {came}")
    return config


def find_recipe(name: str) -> Path:
    """Returns the file of an installed recipe's name, or of a path; UserError if there is none."""
    path, installed = Path(name), {path.stem: path for path in recipe_folder().glob("*.py")}
    if path.suffix or len(path.parts) != 1:
        if not path.is_file():
            near = nearest_path(path, ".py") or nearest(path.stem, installed)
            raise UserError(f"no config file {name!r}{near}")
        return path
    if name not in installed:
        known = f"{', '.join(sorted(installed))}, or the path of a file that ends in .py"
        raise UserError(f"no recipe {name!r}: expected {known}{nearest(name, installed)}")
    return installed[name]


def recipe_folder() -> Path:
    """Returns wave_jax/configs of an installation, or configs/ of a checkout."""
    package = Path(__file__).resolve().parents[1]
    checkout = (package.parent / "pyproject.toml").is_file() and not (package / "configs").is_dir()
    return (package.parent if checkout else package) / "configs"


def _line(path: Path, error: Exception) -> str:
    """Returns ', line N' for the deepest line of the file that the error came through, or ''."""
    frames = traceback.extract_tb(error.__traceback__)
    lines = [frame.lineno for frame in frames if frame.filename == str(path)]
    if isinstance(error, SyntaxError) and error.filename == str(path):
        lines = [error.lineno]
    return f", line {lines[-1]}" if lines else ""
