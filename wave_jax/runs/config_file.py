"""config.json, the resolved configuration of a run: written once, read strictly."""

from __future__ import annotations

import dataclasses
import json
import types
import typing
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from wave_jax.errors import UserError, nearest, nearest_path
from wave_jax.runs.files import write_whole
from wave_jax.training.config import Config

CONFIG_FILE = "config.json"

# Fields that do not decide what a run computes: where it lies, what it runs on, what else it logs.
_FREE = ("workdir", "mesh", "data.cache_dir", "data.tfds_dir", "train.tensorboard", "train.wandb")


def save_config(config: Config, workdir: Path) -> None:
    """Writes `workdir/config.json`, unless another process has just done so."""
    text = json.dumps(dataclasses.asdict(config), indent=2)
    write_whole(workdir / CONFIG_FILE, text + "\n", replace=False)


def load_config(workdir: Path) -> Config:
    """Returns the configuration in `workdir/config.json`.

    Raises:
        UserError: no such file, not JSON, or a field that is unknown or of the wrong type.
    """
    path = Path(workdir) / CONFIG_FILE
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(_no_run(Path(workdir))) from None
    except (OSError, ValueError, RecursionError) as error:
        raise UserError(f"{path} cannot be read as JSON: {error}") from None
    return config_from_dict(values, str(path))


def config_from_dict(values: Any, where: str = CONFIG_FILE) -> Config:
    """Returns the configuration of a nested dict; absent fields have their defaults.

    Raises:
        UserError: a field that is unknown or of the wrong type, by its dotted name.
    """
    config = _read(values, Config, "", where)
    assert isinstance(config, Config)
    return config


def differences(old: Config, new: Config) -> list[str]:
    """Returns "field: old -> new" for every field in which two runs' computations differ."""
    found = []
    before, after = _flatten(dataclasses.asdict(old)), _flatten(dataclasses.asdict(new))
    for name, value in before.items():
        free = any(name == field or name.startswith(field + ".") for field in _FREE)
        if not free and value != after[name]:
            found.append(f"{name}: {value!r} -> {after[name]!r}")
    return found


def _no_run(workdir: Path) -> str:
    """Says that the folder is no run's, and which one may be meant."""
    if workdir.is_dir():
        inside = sorted(workdir.glob(f"*/{CONFIG_FILE}"), key=lambda file: file.stat().st_mtime)
        near = f", did you mean {str(inside[-1].parent)!r}?" if inside else ""
        return f"{workdir} holds no {CONFIG_FILE}{near}: expected the workdir of a training run"
    near = nearest_path(workdir)
    return f"no folder {str(workdir)!r}{near}: expected the workdir of a training run"


def _flatten(values: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in values.items():
        if isinstance(value, dict):
            flat |= _flatten(value, f"{prefix}{name}.")
        else:
            flat[prefix + name] = value
    return flat


def _read(value: Any, kind: Any, name: str, where: str) -> Any:
    if dataclasses.is_dataclass(kind):
        return _read_fields(value, kind, name, where)
    origin, options = get_origin(kind), get_args(kind)
    if origin in (Union, types.UnionType):
        if value is None and type(None) in options:
            return None
        return _read(value, next(o for o in options if o is not type(None)), name, where)
    if origin is Literal:
        if value not in options or isinstance(value, bool):
            allowed = ", ".join(map(repr, options))
            raise UserError(f"{where}: {name} is {value!r}, expected one of {allowed}")
        return value
    if origin is tuple:
        if not isinstance(value, list | tuple) or (
            options[-1] is not Ellipsis and len(value) != len(options)
        ):
            raise UserError(f"{where}: {name} is {value!r}, expected a list")
        kinds = [options[0]] * len(value) if options[-1] is Ellipsis else options
        return tuple(_read(v, k, name, where) for v, k in zip(value, kinds, strict=True))
    return _read_scalar(value, kind, name, where)


def _read_fields(value: Any, kind: Any, name: str, where: str) -> Any:
    if not isinstance(value, dict):
        raise UserError(f"{where}: {name or 'the whole'} is {value!r:.60}, expected an object")
    hints = get_type_hints(kind)
    prefix = f"{name}." if name else ""
    for field in value:
        if field not in hints:
            hint = nearest(str(field), hints)
            raise UserError(f"{where}: unknown field {prefix}{field}{hint}")
    return kind(**{f: _read(v, hints[f], prefix + f, where) for f, v in value.items()})


def _read_scalar(value: Any, kind: type, name: str, where: str) -> Any:
    allowed: typing.Any = (int, float) if kind is float else kind
    if not isinstance(value, allowed) or (isinstance(value, bool) and kind is not bool):
        raise UserError(f"{where}: {name} is {value!r:.60}, expected {kind.__name__}")
    return kind(value)
