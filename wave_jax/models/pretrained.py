"""Parameters from a BERT checkpoint in the layout of Hugging Face, from a local folder."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from wave_jax.errors import UserError
from wave_jax.models.config import ModelConfig, sizes, table_rows
from wave_jax.models.safetensors import SafeTensors
from wave_jax.models.transformer import NORM_EPSILON

WEIGHTS, CONFIG, VOCABULARY = "model.safetensors", "config.json", "vocab.txt"

Params = dict[str, Any]
_PICKLES = ("pytorch_model.bin", "model.bin", "model.pt", "model.ckpt")
_LEGACY = {"LayerNorm.weight": "LayerNorm.gamma", "LayerNorm.bias": "LayerNorm.beta"}
_WORDS = "embeddings.word_embeddings.weight"
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


def check_folder(folder: str, config: ModelConfig, max_length: int) -> None:
    """Raises UserError where a folder holds no BERT checkpoint of the sizes that `config` has."""
    SafeTensors(_weights(Path(folder)))
    vocabulary_file(folder)
    path = _existing(Path(folder), CONFIG)
    _check_architecture(config, _json(path), path, max_length)


def vocabulary_file(folder: str) -> Path:
    """Returns the checkpoint's vocabulary; UserError where the folder lacks it."""
    return _existing(Path(folder), VOCABULARY)


def lowercases(folder: str) -> bool | None:
    """Returns whether the checkpoint's tokenizer folds case, None where the folder does not say."""
    path = Path(folder) / "tokenizer_config.json"
    found = _json(path).get("do_lower_case") if path.is_file() else None
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
    folder = Path(config.pretrained)
    weights = SafeTensors(_weights(folder))
    read = _reader(weights)
    table = read(_WORDS, (vocab_size, config.dim))
    padded = np.zeros((table_rows(vocab_size), config.dim), np.float32)
    padded[:vocab_size] = table
    found: Params = {"embed": {"embedding": padded}}
    if config.kind != "bert":
        return found
    _check_architecture(config, _json(_existing(folder, CONFIG)), folder / CONFIG, max_length)
    positions = weights.shapes.get(_name(weights, "embeddings.position_embeddings.weight"))
    reach = positions[0] if positions else max_length
    found["position"] = {
        "embedding": read("embeddings.position_embeddings.weight", (reach, config.dim))[:max_length]
    }
    found["token_type"] = {
        "embedding": read("embeddings.token_type_embeddings.weight", (2, config.dim))
    }
    found["norm"] = _module(read, "embeddings.LayerNorm", like["norm"])
    for index in range(sizes(config).layers):
        layer = like[f"layer_{index}"]
        found[f"layer_{index}"] = {
            part: _module(read, f"encoder.layer.{index}.{name}", layer[part])
            for part, name in _LAYER_PARTS.items()
        }
    found["pooler"] = _module(read, "pooler.dense", like["pooler"])
    return found


def _module(read: Callable[..., np.ndarray], name: str, like: Mapping[str, Any]) -> Params:
    """Reads a dense layer, whose kernel lies transposed, or a norm."""
    if "kernel" in like:
        kernel = read(f"{name}.weight", like["kernel"].shape[::-1])
        return {"kernel": kernel.T, "bias": read(f"{name}.bias", like["bias"].shape)}
    return {
        "scale": read(f"{name}.weight", like["scale"].shape),
        "bias": read(f"{name}.bias", like["bias"].shape),
    }


def _reader(weights: SafeTensors) -> Callable[[str, tuple[int, ...]], np.ndarray]:
    def read(name: str, shape: tuple[int, ...]) -> np.ndarray:
        actual = _name(weights, name)
        found = weights.shapes.get(actual)
        if found is None:
            raise UserError(f"{weights.path} lacks the tensor {name}, expected {list(shape)}")
        if found != shape:
            raise UserError(
                f"{weights.path}: the tensor {actual} is {list(found)}, expected {list(shape)}"
            )
        return weights.read(actual)

    return read


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


def _json(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(f"{path} cannot be read as JSON: {error}") from None
    if not isinstance(found, dict):
        raise UserError(f"{path}: expected a JSON object, got {type(found).__name__}")
    return found


def _check_architecture(
    config: ModelConfig, found: Mapping[str, Any], path: Path, max_length: int
) -> None:
    size = sizes(config)
    options = {
        "hidden_size": ("dim", config.dim),
        "intermediate_size": ("ffn_dim", size.ffn_dim),
        "num_hidden_layers": ("layers", size.layers),
        "num_attention_heads": ("heads", size.heads),
    }
    for key, (field, value) in options.items():
        if found.get(key) != value:
            raise UserError(
                f"{path}: {key} is {found.get(key)}, but the model has {value}; give --model."
                f"{field.replace('_', '-')} {found.get(key)}"
            )
    fixed = {"model_type": "bert", "hidden_act": "gelu", "layer_norm_eps": NORM_EPSILON}
    for key, wanted in (fixed | {"type_vocab_size": 2}).items():
        if found.get(key, wanted) != wanted:
            raise UserError(f"{path}: {key} is {found[key]!r}; only {wanted!r} can be loaded")
    reach = found.get("max_position_embeddings", max_length)
    if max_length > reach:
        raise UserError(
            f"{path}: the checkpoint has {reach} positions; give --data.max-length {reach} or less "
            f"instead of {max_length}"
        )
