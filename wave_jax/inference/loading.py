"""From the folder of a run to a classifier."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Literal

import jax
import numpy as np
from flax import linen as nn

from wave_jax.data.tokenizer import WordPiece
from wave_jax.errors import UserError
from wave_jax.inference.classifier import Classifier
from wave_jax.models import build_model
from wave_jax.models.config import sizes
from wave_jax.runs.checkpoints import restore_params
from wave_jax.runs.config_file import load_config


def load(
    workdir: str | Path,
    checkpoint: Literal["best", "last"] = "best",
    *,
    max_length: int | None = None,
    fold: bool | Literal["auto"] = "auto",
) -> Classifier:
    """Returns the trained classifier of a run.

    Args:
      workdir: the folder that a training wrote.
      checkpoint: parameters of the best validation, or the newest.
      max_length: pieces of a text that are read; by default as many as in training.
      fold: whether the projection becomes a lookup table, which makes prediction several times as
        quick and costs `Classifier.folded_bytes` (188 MB for 30,522 pieces and 768 dimensions);
        'auto' does so up to 1 GiB. Networks that it does not serve predict as they are.

    Raises:
      UserError: the folder is not a run, or has no checkpoint yet, or its files do not fit.
    """
    folder = Path(workdir)
    config = load_config(folder)
    tokenizer = WordPiece.load(folder / "tokenizer.json")
    labels = read_labels(folder)
    params, _ = restore_params(folder, checkpoint)
    model = build_model(
        config.model,
        vocab_size=tokenizer.vocab_size,
        num_classes=len(labels),
        max_length=config.data.max_length,
        sentence_end_ids=tokenizer.sentence_end_ids,
        sep_id=tokenizer.sep_id,
    )
    _check_fit(params, model, folder)
    longest = config.data.max_length
    if max_length is not None and max_length < 3:
        raise UserError(f"max_length must be at least 3 ([CLS], a piece, [SEP]); got {max_length}")
    if (
        sizes(config.model).position == "learned"
        and max_length is not None
        and max_length > longest
    ):
        raise UserError(f"this network learned {longest} positions; got max_length {max_length}")
    return Classifier(
        model,
        params,
        tokenizer=tokenizer,
        labels=labels,
        config=config,
        max_length=max_length,
        fold=fold,
    )


def read_labels(workdir: Path) -> tuple[str, ...]:
    """Returns the names of the classes in `workdir/labels.json`, in the order of the logits.

    Raises:
      UserError: there is no such file, or it is not a list of strings.
    """
    path = workdir / "labels.json"
    try:
        names = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(f"cannot read the classes' names in {path}: {error}") from error
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise UserError(f"{path}: expected a list of names, got {str(names)[:60]!r}")
    return tuple(names)


def _check_fit(params: Any, model: nn.Module, folder: Path) -> None:
    """Refuses parameters that are not those of the model that the folder's files describe."""
    ids = jax.ShapeDtypeStruct((1, 4), np.int32)
    wanted = jax.eval_shape(model.init, jax.random.key(0), ids)["params"]
    expected, found = (
        {
            jax.tree_util.keystr(path, simple=True, separator="/"): leaf.shape
            for path, leaf in leaves
        }
        for leaves in map(jax.tree_util.tree_leaves_with_path, (wanted, params))
    )
    for name in sorted(expected.keys() | found.keys()):
        has, needs = found.get(name, "missing"), expected.get(name, "none")
        if has != needs:
            raise UserError(
                f"{folder}: the checkpoint's {name} is {has}, but by config.json, tokenizer.json "
                f"and labels.json it is {needs}: one of these files is not the run's own"
            )
