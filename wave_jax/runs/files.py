"""The small files of a run: its configuration and tokenizer, and how files are written whole."""

from __future__ import annotations

import dataclasses
import errno
import io
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import reduce
from operator import getitem
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

import dacite
import numpy as np

from wave_jax import __version__
from wave_jax.data.config import DataConfig
from wave_jax.data.files import LABELS, read_labels
from wave_jax.data.ngrams import NgramTokenizer
from wave_jax.data.streams import Input, existing
from wave_jax.data.tokenizer import WordPiece
from wave_jax.errors import UserError, nearest, nearest_path, one_line
from wave_jax.training.config import Config

CONFIG_FILE = "config.json"
MODEL_TYPE = "wave_jax"  # of an exported model, whose
EXPORT_FORMAT = 1  # is raised when what is read changes its meaning
TOKENIZER_FILE, NGRAMS_FILE = "tokenizer.json", "ngrams.npz"

# Fields that do not decide what a run computes: where it is, what it runs on, what else it logs.
_FREE = (
    *("workdir", "data.cache_dir", "data.tfds_dir"),
    *("train.baseline", "train.tensorboard", "train.wandb"),
)
_ERRNOS = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EIO, errno.EACCES)
_DISK_ERRORS = [os.strerror(number) for number in _ERRNOS]  # tensorstore reports words alone


def save_config(config: Config, workdir: Path) -> None:
    """Writes `workdir/config.json`, unless another process has just done so."""
    text = json.dumps(dataclasses.asdict(config), indent=2)
    write_whole(workdir / CONFIG_FILE, text + "\n", replace=False)


def load_config(workdir: Path) -> Config:
    """Returns the configuration in `workdir/config.json`; UserError if there is none that fits."""
    path = Path(workdir) / CONFIG_FILE
    values = _read_json(path)
    if not (own := _exported(values, path)):
        return config_from_dict(values, str(path))
    try:
        return config_from_dict(own["config"], str(path))
    except UserError as error:
        raise UserError(f"{error} (by {_versions(own)})") from None


def exported(folder: Path) -> dict[str, Any]:
    """Returns config.json's part on an exported model: config, version, results; {} for a run."""
    return _exported(_read_json(path := folder / CONFIG_FILE), path)


def config_from_dict(values: Any, where: str = CONFIG_FILE) -> Config:
    """Returns the configuration of a nested dict; absent fields have their defaults.

    Raises:
        UserError: a field that is unknown or of the wrong type, by its dotted name.
    """
    if not isinstance(values, dict):
        raise UserError(f"{where} is {values!r:.60}, expected an object")
    known = _flatten(dataclasses.asdict(Config()))
    for name in _flatten(values):
        section, _, field = name.rpartition(".")
        siblings = [k.removeprefix(f"{section}.") for k in known if k.startswith(section)]
        if name not in known and not any(k.startswith(f"{name}.") for k in known):
            shown = name if name.isprintable() else repr(name)
            raise UserError(f"{where}: unknown field {shown}{nearest(field, siblings)}")
    try:
        return dacite.from_dict(Config, _tuples(values))
    except dacite.WrongTypeError as error:
        name, expected = str(error.field_path), _spelled(error.field_type)
        came = f"{reduce(getitem, name.split('.'), values)!r:.60}"
        raise UserError(f"{where}: {name} is {came}, expected {expected}") from None


def differences(old: Config, new: Config) -> list[str]:
    """Returns "field: old -> new" for every field in which two runs' computations differ."""
    before, after = _flatten(dataclasses.asdict(old)), _flatten(dataclasses.asdict(new))
    return [
        f"{name}: {value!r} -> {after[name]!r}"
        for name, value in before.items()
        if value != after[name] and name not in _FREE and not name.startswith("mesh.")
    ]


def save_tokenizer(folder: Path, tokenizer: WordPiece) -> None:
    """Writes the n-grams, if any, and then tokenizer.json, which says that all is there."""
    if isinstance(tokenizer, NgramTokenizer):
        np.savez(file := io.BytesIO(), kept=tokenizer.kept, allow_pickle=False)
        write_whole(folder / NGRAMS_FILE, file.getvalue())
    write_whole(folder / TOKENIZER_FILE, tokenizer.to_json())


def load_tokenizer(folder: Path, data: DataConfig) -> WordPiece:
    """Reads the tokenizer of a run that has these data options; UserError where it is damaged."""
    pieces, path = WordPiece.from_file(folder / TOKENIZER_FILE), folder / NGRAMS_FILE
    if not data.has_ngrams:
        return pieces
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
            kept = arrays["kept"]
        if kept.ndim != 1 or kept.dtype != np.uint64 or (kept[1:] <= kept[:-1]).any():
            raise ValueError(f"{kept.dtype} {list(kept.shape)} are no ascending hashes")
    except Exception as error:  # whatever NumPy, zipfile and zlib raise
        raise UserError(
            f"{path} cannot be read as this network's n-grams ({one_line(error)}): "
            "copy or train it again"
        ) from error
    return NgramTokenizer(pieces, data.ngrams, data.stems, kept)


def load_labels(folder: Path) -> tuple[str, ...]:
    """Reads the classes' names in the order of the logits; UserError where it cannot."""
    path = folder / CONFIG_FILE
    if path.is_file() and _exported(values := _read_json(path), path):
        names = values.get("id2label")
        found = [names.get(str(k)) for k in range(len(names))] if isinstance(names, dict) else []
        if {type(name) for name in found} != {str} or len(set(found)) < len(found):
            raise UserError(f"{path}: id2label must name the classes '0', '1', ... differently")
        return tuple(map(str, found))
    return read_labels(Input.file(existing(folder / LABELS), name=f"{folder}/{LABELS}"), "strict")


def write_whole(path: Path, content: str | bytes, *, replace: bool = True) -> None:
    """Writes a file atomically; `replace=False` leaves an existing one as it is."""
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        part.write_bytes(content.encode() if isinstance(content, str) else content)
        if replace:
            part.replace(path)
        else:
            try:
                os.link(part, path)
            except OSError:  # it is there already, or the drive has no hard links, as FAT
                if not path.exists():
                    part.replace(path)
    finally:
        with suppress(OSError):
            part.unlink(missing_ok=True)


@contextmanager
def explaining_disk_errors(folder: Path, kept: str) -> Iterator[None]:
    """Raises UserError where `folder` cannot be written; `kept` says what is safe all the same."""
    try:
        yield
    except UserError:
        raise
    except Exception as error:
        text, cause = str(error), error.__cause__
        while cause is not None:
            text, cause = f"{text} {cause}", cause.__cause__
        found = [reason for reason in _DISK_ERRORS if reason in text]
        if not found:
            raise
        raise UserError(
            f"cannot write to {folder}: {found[0]}; {kept}. Make room and give the same command "
            "again to resume"
        ) from error


def _read_json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        raise UserError(_no_run(path.parent)) from None
    except (OSError, ValueError, RecursionError) as error:
        raise UserError(f"{path} cannot be read as JSON: {error}") from None


def _exported(values: Any, path: Path) -> dict[str, Any]:
    """Returns config.json's part on an exported model, {} for a run; UserError for others."""
    if not isinstance(values, dict) or (kind := values.get("model_type")) is None:
        return {}
    if kind != MODEL_TYPE:
        raise UserError(f"{path}: the model's type is {kind!r:.40}, expected {MODEL_TYPE!r}")
    own = values.get(MODEL_TYPE)
    if not isinstance(own, dict) or not isinstance(own.get("config"), dict):
        raise UserError(f"{path} lacks the part {MODEL_TYPE!r} with its 'config': copy it again")
    if (came := own.get("format")) != EXPORT_FORMAT:
        raise UserError(
            f"{path} has format {came!r:.20}, expected {EXPORT_FORMAT} (by {_versions(own)})"
        )
    return own


def _versions(own: dict[str, Any]) -> str:
    return f"wave_jax {own.get('version')!s:.20}; this is {__version__}"


def _no_run(workdir: Path) -> str:
    what, near = f"no folder {str(workdir)!r}", nearest_path(workdir)
    if workdir.is_file():
        what, near = f"{workdir} is a file", ""
    elif workdir.is_dir():
        inside = sorted(workdir.glob(f"*/{CONFIG_FILE}"), key=lambda file: file.stat().st_mtime)
        what = f"{workdir} holds no {CONFIG_FILE}"
        near = f", did you mean {str(inside[-1].parent)!r}?" if inside else ""
    return f"{what}{near}: expected the workdir of a training run, or a model by --format hub"


def _flatten(values: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in values.items():
        nested = isinstance(value, dict)
        flat |= _flatten(value, f"{prefix}{name}.") if nested else {prefix + name: value}
    return flat


def _tuples(values: Any) -> Any:
    """Returns JSON values with lists as tuples, as the configuration has them."""
    if isinstance(values, dict):
        return {name: _tuples(value) for name, value in values.items()}
    return tuple(values) if isinstance(values, list) else values


def _spelled(kind: Any) -> str:
    if dataclasses.is_dataclass(kind):
        return "an object"
    if get_origin(kind) is Literal:
        return f"one of {', '.join(map(repr, get_args(kind)))}"
    return f"a list ({kind})" if get_origin(kind) is tuple else getattr(kind, "__name__", str(kind))
