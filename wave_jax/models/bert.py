"""Parameters from a BERT checkpoint in the layout of Hugging Face, from a local folder."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from safetensors import SafetensorError, safe_open

from wave_jax.errors import UserError, one_line, shorten
from wave_jax.models.baselines import NORM_EPSILON
from wave_jax.models.build import build_model
from wave_jax.models.config import ModelConfig, sizes

WEIGHTS, CONFIG, VOCABULARY = "model.safetensors", "config.json", "vocab.txt"

Advice = Callable[[str, int], str]
"""From an option, such as 'model.dim', and the value that would fit, to what the user can do."""
Params = dict[str, Any]
_PICKLES = ("pytorch_model.bin", "model.bin", "model.pt", "model.ckpt")
_LEGACY = {"LayerNorm.weight": "LayerNorm.gamma", "LayerNorm.bias": "LayerNorm.beta"}
_POSITIONS = "max_position_embeddings"
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
    config: ModelConfig, *, vocab_size: int, max_length: int, like: Mapping[str, Any]
) -> Params:
    """Returns the parameters that `config.pretrained` gives a model to start from.

    All of BERT but the classifier, or the table of token embeddings alone for other kinds.

    Args:
      config: with `pretrained`, the folder with config.json, model.safetensors and vocab.txt.
      vocab_size: tokens of the vocabulary, those of vocab.txt.
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

    def advice(option: str, value: int) -> str:
        return f"give --{option} {value}"

    with _opened(Path(config.pretrained)) as weights:
        names = _tensor_names(weights, config, vocab_size, max_length, like, advice)

        def read(path: tuple, name: str, leaf: Any) -> np.ndarray:
            found = weights.file.get_tensor(name).astype(np.float32)
            return _fitted(found, path[-1].key, leaf.shape)

        wanted = {module: like[module] for module in names}
        params: Params = jax.tree_util.tree_map_with_path(read, names, wanted)
    return params


def check_folder(
    folder: str, config: ModelConfig, *, vocab_size: int, max_length: int, advice: Advice
) -> None:
    """Checks all that `read_pretrained` will ask of a folder, without reading any numbers.

    Args:
      folder: of the checkpoint.
      config: of the model that is to start from it.
      vocab_size: tokens of the folder's vocabulary.
      max_length: positions that the model has.
      advice: what to do about sizes that differ, as the caller has options for them.

    Raises:
      UserError: as `read_pretrained`.
    """
    model = build_model(config, vocab_size=vocab_size, num_classes=2, max_length=max_length)
    ids = jax.ShapeDtypeStruct((1, 4), jnp.int32)
    like = jax.eval_shape(model.init, jax.random.key(0), ids)["params"]
    with _opened(Path(folder)) as weights:
        _tensor_names(weights, config, vocab_size, max_length, like, advice)


def vocabulary_file(folder: str) -> Path:
    """Returns the checkpoint's vocabulary; UserError where the folder lacks it or the weights."""
    _weights_file(Path(folder))
    return _existing(Path(folder), VOCABULARY)


def lowercases(folder: str) -> bool | None:
    """Returns whether the checkpoint's tokenizer folds case, None where the folder does not say."""
    path = Path(folder) / "tokenizer_config.json"
    found = _read_object(path).get("do_lower_case") if path.is_file() else None
    return found if isinstance(found, bool) else None


class _Weights:
    """An open file of tensors, and their shapes by name."""

    def __init__(self, path: Path, file: Any) -> None:
        self.path, self.file = path, file
        self.shapes = {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118

    def find(self, name: str) -> str | None:
        """Returns the name in the file: with or without the prefix, old names of norms too."""
        old = name
        for new, legacy in _LEGACY.items():
            old = old.replace(new, legacy)
        candidates = [prefix + n for n in (name, old) for prefix in ("", "bert.")]
        return next((n for n in candidates if n in self.shapes), None)


@contextmanager
def _opened(folder: Path) -> Iterator[_Weights]:
    path = _weights_file(folder)
    try:
        with safe_open(path, framework="numpy") as file:
            yield _Weights(path, file)
    except SafetensorError as error:
        raise UserError(
            f"{path} is not a whole safetensors file: {one_line(error)}; copy it again"
        ) from None
    except OSError as error:
        raise UserError(f"cannot read {path}: {one_line(error)}") from None


def _tensor_names(
    weights: _Weights,
    config: ModelConfig,
    vocab_size: int,
    max_length: int,
    like: Mapping[str, Any],
    advice: Advice,
) -> Params:
    """Returns a tensor's name for every parameter that is replaced, each checked for its shape."""
    rows = {"embed": vocab_size}
    wanted = {"embed": like["embed"]}
    if config.kind == "bert":
        wanted = {module: like[module] for module in like if module != "classifier"}
        rows["position"] = _check_architecture(weights, config, max_length, advice)

    def checked(path: tuple, leaf: Any) -> str:
        module, kind = path[0].key, path[-1].key
        name = _tensor_name([key.key for key in path])
        shape = leaf.shape[::-1] if kind == "kernel" else leaf.shape
        shape = (rows.get(module, shape[0]), *shape[1:])
        why = f", a row for each token of {VOCABULARY}" if module == "embed" else ""
        actual = weights.find(name)
        if actual is None:
            raise UserError(f"{weights.path} lacks the tensor {name}, expected {list(shape)}{why}")
        found = weights.shapes[actual]
        if found != shape:
            raise UserError(
                f"{weights.path}: the tensor {actual} is {list(found)}, expected {list(shape)}{why}"
            )
        return actual

    names: Params = jax.tree_util.tree_map_with_path(checked, wanted)
    return names


def _tensor_name(path: list[str]) -> str:
    """Returns the name in a checkpoint, such as encoder.layer.0.output.dense.bias."""
    *layer, module, leaf = path
    prefix = f"encoder.layer.{layer[0].removeprefix('layer_')}." if layer else ""
    return f"{prefix}{_MODULES[module]}.{'bias' if leaf == 'bias' else 'weight'}"


def _fitted(found: np.ndarray, kind: str, shape: tuple[int, ...]) -> np.ndarray:
    """Returns a tensor as the parameter: kernels transposed, tables truncated or padded."""
    if kind == "kernel":
        return found.T
    fitted = np.zeros(shape, np.float32)
    fitted[: len(found)] = found[: len(fitted)]
    return fitted


def _check_architecture(
    weights: _Weights, config: ModelConfig, max_length: int, advice: Advice
) -> int:
    """Compares config.json with the model; returns the checkpoint's number of positions."""
    path = _existing(weights.path.parent, CONFIG)
    found, size = _read_object(path), sizes(config)
    options = {
        "hidden_size": ("dim", config.dim),
        "intermediate_size": ("ffn-dim", size.ffn_dim),
        "num_hidden_layers": ("layers", size.layers),
        "num_attention_heads": ("heads", size.heads),
    }
    for key, (option, value) in options.items():
        number = _positive(found.get(key), key, path)
        if number != value:
            fix = advice(f"model.{option}", number)
            raise UserError(f"{path}: {key} is {number}, but the model has {value}; {fix}")
    fixed = {"model_type": "bert", "hidden_act": "gelu", "layer_norm_eps": NORM_EPSILON}
    for key, wanted in (fixed | {"type_vocab_size": 2}).items():
        if found.get(key, wanted) != wanted:
            raise UserError(f"{path}: {key} is {_shown(found[key])}; only {wanted!r} can be loaded")
    table = weights.shapes.get(weights.find(_tensor_name(["position", "embedding"])) or "")
    reach = _positive(found.get(_POSITIONS, (table or (max_length,))[0]), _POSITIONS, path)
    if max_length > reach:
        raise UserError(
            f"{path}: the checkpoint has {reach} positions, but a text may have {max_length} "
            f"tokens; {advice('data.max-length', reach)}"
        )
    return reach


def _read_object(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise UserError(f"{path} cannot be read as JSON: {error}") from None
    if not isinstance(found, dict):
        raise UserError(f"{path}: expected a JSON object, got {type(found).__name__}")
    return found


def _positive(value: Any, key: str, path: Path) -> int:
    if type(value) is not int or value < 1:
        raise UserError(f"{path}: {key} is {_shown(value)}, expected a whole number above 0")
    return value


def _shown(value: Any) -> str:
    if isinstance(value, dict | list):
        return f"a {type(value).__name__}"
    return "null or missing" if value is None else shorten(repr(value))


def _weights_file(folder: Path) -> Path:
    if folder.is_file():
        raise UserError(f"{folder} is a file: expected the folder of a BERT checkpoint")
    pickles = [name for name in _PICKLES if (folder / name).is_file()]
    if pickles and not (folder / WEIGHTS).is_file():
        raise UserError(
            f"{folder} holds {pickles[0]}, a pickle, which may run any code when read, and no "
            f'{WEIGHTS}; convert it if you trust it: python -c "from transformers import '
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
