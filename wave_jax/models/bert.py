"""Parameters from a BERT checkpoint in the layout of Hugging Face, from a local folder."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from wave_jax.errors import UserError
from wave_jax.models.architecture import (
    Advice,
    check_architecture,
    model_options,
    read_object,
    usable_positions,
)
from wave_jax.models.build import build_model
from wave_jax.models.config import ModelConfig, sizes, table_rows
from wave_jax.models.safetensors import SafeTensors

WEIGHTS, CONFIG, VOCABULARY = "model.safetensors", "config.json", "vocab.txt"

Params = dict[str, Any]
_PICKLES = ("pytorch_model.bin", "model.bin", "model.pt", "model.ckpt")
_LEGACY = {"LayerNorm.weight": "LayerNorm.gamma", "LayerNorm.bias": "LayerNorm.beta"}
_WORDS = "embeddings.word_embeddings.weight"
_POSITIONS = "embeddings.position_embeddings.weight"
_LAYER_PARTS = {
    "query": "attention.self.query",
    "key": "attention.self.key",
    "value": "attention.self.value",
    "attention_out": "attention.output.dense",
    "norm_attention": "attention.output.LayerNorm",
    "ffn_in": "intermediate.dense",
    "ffn_out": "output.dense",
    "norm_ffn": "output.LayerNorm",
}


def check_folder(
    folder: str, config: ModelConfig, *, vocab_size: int, max_length: int, advice: Advice
) -> None:
    """Checks all that `read_pretrained` will ask of a folder, without reading any numbers.

    Args:
      folder: of the checkpoint.
      config: of the model that is to start from it.
      vocab_size: pieces of the folder's vocabulary.
      max_length: positions that the model has.
      advice: what to do about sizes that differ, as the caller has options for them.

    Raises:
      UserError: as `read_pretrained`.
    """
    model = build_model(config, vocab_size=vocab_size, num_classes=2, max_length=max_length)
    ids = jax.ShapeDtypeStruct((1, 4), jnp.int32)
    like = jax.eval_shape(model.init, jax.random.key(0), ids)["params"]
    weights = SafeTensors(_weights(Path(folder)))
    _sources(weights, config, vocab_size, max_length, like, advice)


def vocabulary_file(folder: str) -> Path:
    """Returns the checkpoint's vocabulary; UserError where the folder lacks it or the weights."""
    _weights(Path(folder))
    return _existing(Path(folder), VOCABULARY)


def lowercases(folder: str) -> bool | None:
    """Returns whether the checkpoint's tokenizer folds case, None where the folder does not say."""
    path = Path(folder) / "tokenizer_config.json"
    found = read_object(path).get("do_lower_case") if path.is_file() else None
    return found if isinstance(found, bool) else None


def read_pretrained(
    config: ModelConfig, *, vocab_size: int, max_length: int, like: Mapping[str, Any]
) -> Params:
    """Returns the parameters that `config.pretrained` gives a model to start from.

    All of BERT but the classifier, or the table of token embeddings alone for other kinds.

    Args:
      config: with `pretrained`, the folder with config.json, model.safetensors and vocab.txt.
      vocab_size: pieces of the vocabulary, those of vocab.txt.
      max_length: positions that the model has; the checkpoint may have more.
      like: the model's own parameters, or their shapes, as `init` makes them.

    Returns:
      A nested dict of float32 NumPy arrays: those parameters of `like` that are replaced.

    Raises:
      UserError: the folder lacks a file, holds a pickle instead, is of another architecture or size
        than `config`, or a tensor is missing or of another shape; it is named, with what was
        expected and what was found.
    """
    assert config.pretrained is not None
    weights = SafeTensors(_weights(Path(config.pretrained)))
    sources = _sources(weights, config, vocab_size, max_length, like, model_options)
    read: Params = jax.tree.map(lambda source: source.read(weights), sources)
    return read


@dataclass(frozen=True)
class _Source:
    """Where a parameter comes from.

    Attributes:
      name: of the tensor, as the file has it.
      transposed: it lies the other way round.
      rows: what it is cut or padded with zeros to; None for as many as it has.
    """

    name: str
    transposed: bool = False
    rows: int | None = None

    def read(self, weights: SafeTensors) -> np.ndarray:
        found = weights.read(self.name)
        if self.transposed:
            return found.T
        if self.rows is None:
            return found
        fitted = np.zeros((self.rows, *found.shape[1:]), np.float32)
        fitted[: len(found)] = found[: self.rows]
        return fitted


def _sources(
    weights: SafeTensors,
    config: ModelConfig,
    vocab_size: int,
    max_length: int,
    like: Mapping[str, Any],
    advice: Advice,
) -> Params:
    """Returns a `_Source` for every parameter that is replaced, each checked for its shape."""
    if config.kind == "bert":
        path = _existing(weights.path.parent, CONFIG)
        architecture = read_object(path)
        check_architecture(config, architecture, path, advice)
        shape = weights.shapes.get(_name(weights, _POSITIONS)) or (max_length,)
        reach = usable_positions(architecture, path, shape[0], max_length, advice)
    table = f", a row for each piece of {VOCABULARY}"
    words = _source(weights, _WORDS, (vocab_size, config.dim), table_rows(vocab_size), table)
    found: Params = {"embed": {"embedding": words}}
    if config.kind != "bert":
        return found
    positions = _source(weights, _POSITIONS, (reach, config.dim), max_length)
    types = _source(weights, "embeddings.token_type_embeddings.weight", (2, config.dim))
    found["position"], found["token_type"] = {"embedding": positions}, {"embedding": types}
    found["norm"] = _module(weights, "embeddings.LayerNorm", like["norm"])
    for index in range(sizes(config).layers):
        layer = like[f"layer_{index}"]
        found[f"layer_{index}"] = {
            part: _module(weights, f"encoder.layer.{index}.{name}", layer[part])
            for part, name in _LAYER_PARTS.items()
        }
    found["pooler"] = _module(weights, "pooler.dense", like["pooler"])
    return found


def _module(weights: SafeTensors, name: str, like: Mapping[str, Any]) -> Params:
    """Returns the sources of a dense layer, whose kernel lies transposed, or of a norm."""
    bias = _source(weights, f"{name}.bias", like["bias"].shape)
    if "kernel" in like:
        kernel = _source(weights, f"{name}.weight", like["kernel"].shape[::-1])
        return {"kernel": _Source(kernel.name, transposed=True), "bias": bias}
    return {"scale": _source(weights, f"{name}.weight", like["scale"].shape), "bias": bias}


def _source(
    weights: SafeTensors, name: str, shape: tuple[int, ...], rows: int | None = None, why: str = ""
) -> _Source:
    actual = _name(weights, name)
    found = weights.shapes.get(actual)
    if found is None:
        raise UserError(f"{weights.path} lacks the tensor {name}, expected {list(shape)}{why}")
    if found != shape:
        raise UserError(
            f"{weights.path}: the tensor {actual} is {list(found)}, expected {list(shape)}{why}"
        )
    return _Source(actual, rows=rows)


def _name(weights: SafeTensors, name: str) -> str:
    """Returns the name in the file: with or without the prefix, old names of norms too."""
    old = name
    for new, legacy in _LEGACY.items():
        old = old.replace(new, legacy)
    candidates = [prefix + n for n in (name, old) for prefix in ("", "bert.")]
    return next((n for n in candidates if n in weights.shapes), name)


def _weights(folder: Path) -> Path:
    if folder.is_file():
        raise UserError(f"{folder} is a file: expected the folder of a BERT checkpoint")
    pickles = [name for name in _PICKLES if (folder / name).is_file()]
    if pickles and not (folder / WEIGHTS).is_file():
        raise UserError(
            f"{folder} holds {pickles[0]}, a pickle, which may run any code when read, and no "
            f'{WEIGHTS}; convert it where you trust it: python -c "from transformers import '
            f"AutoModel; AutoModel.from_pretrained({str(folder)!r}).save_pretrained("
            f'{str(folder)!r}, safe_serialization=True)"'
        )
    return _existing(folder, WEIGHTS)


def _existing(folder: Path, name: str) -> Path:
    if not (folder / name).is_file():
        raise UserError(
            f"{folder} holds no {name}: expected the folder of a BERT checkpoint with {CONFIG}, "
            f"{WEIGHTS} and {VOCABULARY}"
        )
    return folder / name
