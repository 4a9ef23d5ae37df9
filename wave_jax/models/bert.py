"""Parameters from a BERT checkpoint in the layout of Hugging Face, from a local folder."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np

from wave_jax.errors import UserError, shorten
from wave_jax.models.baselines import NORM_EPSILON
from wave_jax.models.config import ModelConfig, sizes
from wave_jax.models.weights import WEIGHTS, open_weights

CONFIG, VOCABULARY = "config.json", "vocab.txt"

Advice = Callable[[str, int], str]  # from an option and the value that fits, to what to do
Params = dict[str, Any]
_PICKLES = ("pytorch_model.bin", "model.bin", "model.pt", "model.ckpt")
_LEGACY = {"LayerNorm.gamma": "LayerNorm.weight", "LayerNorm.beta": "LayerNorm.bias"}
_MODULES = {
    "embed": "embeddings.word_embeddings",
    "position": "embeddings.position_embeddings",
    "token_type": "embeddings.token_type_embeddings",
    "norm": "embeddings.LayerNorm",
    "pooler": "pooler.dense",
    "query": "attention.self.query",
    "key": "attention.self.key",
    "value": "attention.self.value",
    "attention_out": "attention.output.dense",
    "norm_attention": "attention.output.LayerNorm",
    "ffn_in": "intermediate.dense",
    "ffn_out": "output.dense",
    "norm_ffn": "output.LayerNorm",
}


def read_pretrained(
    config: ModelConfig,
    *,
    vocab_size: int,
    max_length: int,
    like: Mapping[str, Any],
    advice: Advice = "give --{} {}".format,
) -> Params:
    """Returns those parameters of `like` that the folder `config.pretrained` replaces.

    All of BERT but the classifier, or the table of token embeddings alone for other kinds, as a
    nested dict of float32 NumPy arrays.

    Args:
      vocab_size: tokens of the folder's vocab.txt.
      max_length: positions that the model has; the checkpoint may have more.
      like: the model's own parameters, or their shapes, as `init` makes them.
      advice: what to do about a size that differs.

    Raises:
      UserError: the folder lacks a file, holds a pickle instead, is of another architecture or size
        than `config`, or a tensor is missing or of another shape.
    """
    folder = Path(config.pretrained or "")
    weights = _existing(folder, WEIGHTS)
    rows, wanted = {"embed": vocab_size}, {"embed": like["embed"]}
    if config.kind == "bert":
        rows["position"] = _check_architecture(folder, config, max_length, advice)
        wanted = {module: like[module] for module in like if module != "classifier"}
    with open_weights(weights) as file:
        names = {_current(name): name for name in file.keys()}  # noqa: SIM118

        def read(path: tuple, leaf: Any) -> np.ndarray:
            name = _tensor_name([key.key for key in path])
            found = file.get_tensor(names[name]) if name in names else None
            most = rows.get(path[-2].key)
            return _fitted(found, path[-1].key, leaf.shape, most, f"{weights}: tensor {name}")

        params: Params = jax.tree_util.tree_map_with_path(read, wanted)
    return params


def vocabulary_file(folder: str) -> Path:
    """Returns the checkpoint's vocabulary; UserError where the folder lacks it or the weights."""
    _existing(Path(folder), WEIGHTS)
    return _existing(Path(folder), VOCABULARY)


def lowercases(folder: str) -> bool | None:
    """Returns whether the checkpoint's tokenizer folds case, None where the folder does not say."""
    path = Path(folder) / "tokenizer_config.json"
    found = _read_object(path).get("do_lower_case") if path.is_file() else None
    return found if isinstance(found, bool) else None


def _current(name: str) -> str:
    """Returns a tensor's name in today's BERT, without a prefix."""
    for legacy, current in _LEGACY.items():
        name = name.replace(legacy, current)
    return name.removeprefix("bert.")


def _tensor_name(path: list[str]) -> str:
    """Returns the name in a checkpoint, such as encoder.layer.0.output.dense.bias."""
    *layer, module, leaf = path
    prefix = f"encoder.layer.{layer[0].removeprefix('layer_')}." if layer else ""
    return f"{prefix}{_MODULES[module]}.{'bias' if leaf == 'bias' else 'weight'}"


def _fitted(
    found: np.ndarray | None, kind: str, shape: tuple[int, ...], rows: int | None, name: str
) -> np.ndarray:
    """Returns a tensor as a parameter: kernels transposed, tables of `rows` cut or padded."""
    expected = shape[::-1] if kind == "kernel" else (rows or shape[0], *shape[1:])
    if found is None or found.shape != expected:
        came = "is missing" if found is None else f"is {list(found.shape)}"
        why = f", a row for each token of {VOCABULARY} or position" if rows else ""
        raise UserError(f"{name} {came}, expected {list(expected)}{why}")
    if kind == "kernel":
        return found.astype(np.float32).T
    fitted = np.zeros(shape, np.float32)
    fitted[: len(found)] = found[: len(fitted)]
    return fitted


def _check_architecture(folder: Path, config: ModelConfig, max_length: int, advice: Advice) -> int:
    """Compares config.json with the model; returns the checkpoint's number of positions."""
    path, size = _existing(folder, CONFIG), sizes(config)
    found = _read_object(path)
    fixed = {"model_type": "bert", "hidden_act": "gelu", "layer_norm_eps": NORM_EPSILON}
    for key, wanted in (fixed | {"type_vocab_size": 2}).items():
        if (value := found.get(key, wanted)) != wanted:
            raise UserError(
                f"{path}: {key} is {shorten(repr(value))}; only {wanted!r} can be loaded"
            )
    positions: Any = found.get("max_position_embeddings")
    enough = type(positions) is int and positions >= max_length
    for key, option, needed in (
        ("hidden_size", "model.dim", config.dim),
        ("intermediate_size", "model.ffn-dim", size.ffn_dim),
        ("num_hidden_layers", "model.layers", size.layers),
        ("num_attention_heads", "model.heads", size.heads),
        ("max_position_embeddings", "data.max-length", positions if enough else max_length),
    ):
        value = found.get(key)
        if type(value) is not int or value != needed:
            fix = f"; {advice(option, value)}" if type(value) is int and value > 0 else ""
            came = shorten(repr(value))
            raise UserError(f"{path}: {key} is {came}, but the model has {needed}{fix}")
    return int(positions)


def _read_object(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise UserError(f"{path} cannot be read as JSON: {error}") from None
    if not isinstance(found, dict):
        raise UserError(f"{path}: expected a JSON object, got {type(found).__name__}")
    return found


def _existing(folder: Path, name: str) -> Path:
    path, pickles = folder / name, [name for name in _PICKLES if (folder / name).is_file()]
    if path.is_file():
        return path
    if name == WEIGHTS and pickles:
        raise UserError(
            f"{folder} holds {pickles[0]}, a pickle, which may run any code when read, and no "
            f'{name}; convert it if you trust it: python -c "from transformers import AutoModel; '
            f"AutoModel.from_pretrained({str(folder)!r}).save_pretrained({str(folder)!r}, "
            'safe_serialization=True)"'
        )
    raise UserError(
        f"{folder} holds no {name}: expected the folder of a BERT checkpoint with {CONFIG}, "
        f"{WEIGHTS} and {VOCABULARY}"
    )
