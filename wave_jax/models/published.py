"""Models in the layout of Hugging Face's hub: their config.json, and where they are found."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import wave_jax
from wave_jax.errors import UserError, one_line

HUB = "hf:"
_TYPE = "wave_jax"
_FORMAT = 1  # raised when what is read changes its meaning
_FILES = ("*.json", "*.safetensors", "*.npz")


def describe(config: Mapping[str, Any], labels: Sequence[str], architecture: str) -> dict[str, Any]:
    """Returns the content of config.json, with the values of a run's configuration."""
    return {
        "architectures": [architecture],
        "model_type": _TYPE,
        "id2label": {str(index): name for index, name in enumerate(labels)},
        "label2id": {name: index for index, name in enumerate(labels)},
        "wave_jax": {"format": _FORMAT, "version": wave_jax.__version__, "config": config},
    }


def run_values(values: Any, where: str) -> Any:
    """Returns a run's configuration from what config.json holds, its own or `describe`'s.

    UserError where a later version has written it.
    """
    if not isinstance(values, dict) or "model_type" not in values:
        return values
    own = values.get("wave_jax")
    if values["model_type"] != _TYPE or not isinstance(own, dict):
        came = f"{values['model_type']!r:.60}"
        raise UserError(f"{where}: model_type is {came}; expected a model that wave_jax exported")
    if own.get("format") != _FORMAT:
        raise UserError(
            f"{where} has format {own.get('format')!r:.20} of wave_jax {own.get('version')!r:.20}, "
            f"this version {wave_jax.__version__} reads format {_FORMAT}: pip install -U wave_jax"
        )
    return own.get("config")


def class_names(values: Any, where: str) -> tuple[str, ...] | None:
    """Returns the labels of a published config.json, None where it is that of a run."""
    if "model_type" not in values:
        return None
    found = values.get("id2label")
    names: list[Any] = []
    if isinstance(found, dict):
        names = [found.get(str(k)) for k in range(len(found))]
    if (
        not names
        or not all(isinstance(name, str) for name in names)
        or len(set(names)) < len(names)
    ):
        raise UserError(f"{where}: id2label must name the classes '0', '1', ... differently")
    return tuple(names)


def locate(name: str | Path) -> Path:
    """Returns the folder of a run or model; one of the hub, hf:OWNER/NAME, is downloaded first.

    Offline the cache serves. Nothing is executed. UserError where neither has it.
    """
    if not str(name).startswith(HUB):
        return Path(name)
    import huggingface_hub as hub
    from huggingface_hub.constants import HF_HUB_CACHE
    from huggingface_hub.errors import LocalEntryNotFoundError, RepositoryNotFoundError
    from huggingface_hub.utils import disable_progress_bars

    if not sys.stderr.isatty():
        disable_progress_bars()
    try:
        return Path(hub.snapshot_download(str(name).removeprefix(HUB), allow_patterns=[*_FILES]))
    except RepositoryNotFoundError:
        raise UserError(f"{name} is no model of the hub, or private") from None
    except LocalEntryNotFoundError as error:
        what = f"{name} is not in {HF_HUB_CACHE}, and there is no network"
        raise UserError(f"{what}: give the folder of a run or of an exported model") from error
    except Exception as error:  # whatever else the hub, the network and the disk give
        reason = f"{type(error).__name__}: {one_line(error)}"
        raise UserError(f"{name} cannot be downloaded ({reason})") from error
