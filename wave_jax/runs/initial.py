"""Training on from an own run: its vocabulary, and its parameters by the names of the classes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from flax.traverse_util import flatten_dict, unflatten_dict
from safetensors import SafetensorError
from safetensors.numpy import load_file, save

from wave_jax.data.tokenizer import WordPiece
from wave_jax.errors import UserError, one_line
from wave_jax.models.config import sizes
from wave_jax.runs.files import exported, load_config, load_labels, load_tokenizer, write_whole
from wave_jax.runs.workdir import SUMMARY_FILE, final_params
from wave_jax.training.config import Config
from wave_jax.training.state import Params

FITTED_FILE = "classes.json"  # of what `TextClassifier.save` writes
INITIAL_FILE = "initial.safetensors"  # a run's own copy: the run it starts from may go
_FREE = ("dropout", "word_dropout", "table_scale", "pretrained")  # no matter once it is trained


def is_finished(folder: Path) -> bool:
    """Returns whether a folder holds the result of a training, of `fit`, or an exported model."""
    made = [(folder / name).is_file() for name in (SUMMARY_FILE, FITTED_FILE)]
    return any(made) or bool(exported(folder))


def read_origin(config: Config) -> WordPiece:
    """Returns the vocabulary of the run, or exported model, `config.train.init_from`.

    UserError where that is no finished run, or one of another network or of other tokens.
    """
    origin = Path(config.train.init_from or "")
    if config.data.vocab or config.model.pretrained:
        other = "--data.vocab" if config.data.vocab else "--model.pretrained"
        raise UserError(f"--train.init-from gives all that {other} does: leave one of them out")
    try:
        theirs = load_config(origin)
        if not is_finished(origin):
            raise UserError(f"the run in {origin} is not finished: finish it first")
        tokenizer = load_tokenizer(origin, theirs.data)
    except UserError as error:
        raise UserError(f"--train.init-from: {error}") from error
    has, needed = _network(config), _network(theirs)
    for name, value in needed.items():
        if has[name] != value:
            raise UserError(
                f"--{name.replace('_', '-')} is {has[name]}, but {value} in {origin}, from which "
                "--train.init-from starts: the networks must be the same"
            )
    return tokenizer


def save_initial(config: Config, names: Sequence[str], workdir: Path) -> None:
    """Writes the parameters of the run `config.train.init_from` for the classes `names`.

    The weights of the classes that both have are kept, by name: in the output layer and, with a
    linear path, in the last columns of the table. Those of other classes are NaN, to be drawn.
    """
    origin = Path(config.train.init_from or "")
    known = load_labels(origin)
    both = [name for name in names if name in known]
    at, source = [names.index(name) for name in both], [known.index(name) for name in both]
    in_table = config.model.linear_path or config.model.kind == "linear"

    def fitted(path: tuple[str, ...], old: np.ndarray) -> np.ndarray:
        if path[0] not in ("classifier", "bias") and not (in_table and path[0] == "embed"):
            return old
        rest, heads = np.split(old, [old.shape[-1] - len(known)], axis=-1)
        new = np.full((*heads.shape[:-1], len(names)), np.nan, old.dtype)
        new[..., at] = heads[..., source]
        return np.concatenate([rest, new], axis=-1)

    params = flatten_dict(final_params(origin))
    arrays = {"/".join(path): fitted(path, np.asarray(old)) for path, old in params.items()}
    write_whole(workdir / INITIAL_FILE, save(arrays))


def load_initial(workdir: Path) -> tuple[Params, int]:
    """Returns what `save_initial` wrote, nested, and the number of classes that are new."""
    path = workdir / INITIAL_FILE
    try:
        arrays = load_file(path)
    except (OSError, SafetensorError) as error:
        raise UserError(f"cannot read {path}: {one_line(error)}") from error
    bias = next(array for name, array in arrays.items() if name in ("classifier/bias", "bias"))
    return unflatten_dict(arrays, sep="/"), int(np.isnan(bias).sum())


def _network(config: Config) -> dict[str, Any]:
    """Returns by option what decides the meaning of parameters and tokens."""
    model = vars(config.model) | vars(sizes(config.model))
    found = {f"model.{name}": value for name, value in model.items() if name not in _FREE}
    names = ["ngrams", "stems", "lowercase"] + ["max_length"] * (model["position"] == "learned")
    return found | {f"data.{name}": getattr(config.data, name) for name in names}
