"""What is written for others: whole or not at all, with files that say what the numbers mean."""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePath
from typing import Any

from wave_jax.data.dataset import HUB, TFDS
from wave_jax.errors import UserError
from wave_jax.inference import Classifier
from wave_jax.models.published import describe
from wave_jax.runs.files import CONFIG_FILE, save_tokenizer, write_whole
from wave_jax.training.config import Config

_PATHS = {
    "data": ("source", "test", "vocab", "cache_dir", "tfds_dir"),
    "model": ("pretrained",),
    "train": ("init_from",),
}


@contextmanager
def new_output(out: Path) -> Iterator[Path]:
    """Yields a path beside `out` for a file or folder, which gets the name `out` in the end.

    After an error nothing is left. UserError where there is something already, or no room.
    """
    if os.path.lexists(out):
        raise UserError(f"{out} exists already: give a new name, or remove it first")
    if not out.parent.is_dir():
        raise UserError(f"no folder {str(out.parent)!r} to write {out.name} into: make it first")
    part = out.with_name(f".{out.name}.{os.getpid()}.part")
    try:
        yield part
        part.rename(out)
    except OSError as error:
        raise UserError(f"cannot write {out}: {error.strerror or error}") from error
    finally:
        if part.is_dir():
            shutil.rmtree(part, ignore_errors=True)
        else:
            part.unlink(missing_ok=True)


def write_meaning(folder: Path, classifier: Classifier) -> None:
    """Writes what ids and classes mean: config.json, tokenizer.json and its options, n-grams."""
    values = _without_paths(classifier.config)
    description = describe(values, classifier.labels, type(classifier.model).__name__)
    _write_json(folder / CONFIG_FILE, description)
    save_tokenizer(folder, classifier.tokenizer)
    special = {f"{name}_token": f"[{name.upper()}]" for name in ("pad", "unk", "cls", "sep")}
    options = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "model_max_length": classifier.max_length,
        "model_input_names": ["input_ids", "attention_mask"],
        "split_special_tokens": True,  # so that no text can forge them
    }
    _write_json(folder / "tokenizer_config.json", options | special)


def size_of(path: Path) -> int:
    """Returns the bytes of a file, or of all files of a folder."""
    files = path.iterdir() if path.is_dir() else [path]
    return sum(file.stat().st_size for file in files)


def _without_paths(config: Config) -> dict[str, Any]:
    """Returns the configuration's values; paths, which are private, without their folders."""
    values = dataclasses.asdict(config) | {"workdir": None}
    for section, names in _PATHS.items():
        for name in names:
            path = values[section][name]
            if path and not path.startswith((HUB, TFDS)):
                values[section][name] = PurePath(path).name
    return values


def _write_json(path: Path, values: Any) -> None:
    write_whole(path, json.dumps(values, indent=2, ensure_ascii=False) + "\n")
