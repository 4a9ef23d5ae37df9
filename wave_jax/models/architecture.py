"""What a BERT checkpoint's config.json says of its sizes, against the model's."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from wave_jax.errors import UserError
from wave_jax.models.config import ModelConfig, sizes
from wave_jax.models.transformer import NORM_EPSILON

Advice = Callable[[str, int], str]
"""From an option, such as 'model.dim', and the value that would fit, to what the user can do."""

_REACH = "max_position_embeddings"
_LONGEST_SHOWN = 40


def check_architecture(
    config: ModelConfig, found: Mapping[str, Any], path: Path, advice: Advice
) -> None:
    """Compares config.json, whose content is `found`, with the model that is to start from it.

    Raises:
      UserError: another size, with the `advice` for it, or what this BERT does not have.
    """
    size = sizes(config)
    options = {
        "hidden_size": ("dim", config.dim),
        "intermediate_size": ("ffn_dim", size.ffn_dim),
        "num_hidden_layers": ("layers", size.layers),
        "num_attention_heads": ("heads", size.heads),
    }
    for key, (field, value) in options.items():
        number = _whole(found.get(key), key, path)
        if number != value:
            mend = advice(f"model.{field.replace('_', '-')}", number)
            raise UserError(f"{path}: {key} is {number}, but the model has {value}; {mend}")
    fixed = {"model_type": "bert", "hidden_act": "gelu", "layer_norm_eps": NORM_EPSILON}
    for key, wanted in (fixed | {"type_vocab_size": 2}).items():
        if found.get(key, wanted) != wanted:
            raise UserError(f"{path}: {key} is {_told(found[key])}; only {wanted!r} can be loaded")


def usable_positions(
    found: Mapping[str, Any], path: Path, rows: int, max_length: int, advice: Advice
) -> int:
    """Returns the checkpoint's number of positions; `rows` where config.json does not say.

    Raises:
      UserError: they are fewer than `max_length`, or no number.
    """
    reach = _whole(found.get(_REACH, rows), _REACH, path)
    if max_length > reach:
        raise UserError(
            f"{path}: the checkpoint has {reach} positions, but a text may have {max_length} "
            f"pieces; {advice('data.max-length', reach)}"
        )
    return reach


def model_options(option: str, value: int) -> str:
    """Returns the advice of commands that have the model's options."""
    return f"give --{option} {value}"


def read_object(path: Path) -> dict[str, Any]:
    """Reads a file that holds a JSON object; UserError where it does not."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise UserError(f"{path} cannot be read as JSON: {error}") from None
    if not isinstance(found, dict):
        raise UserError(f"{path}: expected a JSON object, got {type(found).__name__}")
    return found


def _whole(value: Any, key: str, path: Path) -> int:
    if type(value) is not int or value < 1:
        raise UserError(f"{path}: {key} is {_told(value)}, expected a whole number above 0")
    return value


def _told(value: Any) -> str:
    if isinstance(value, dict | list):
        return f"a {type(value).__name__}"
    text = "null or missing" if value is None else repr(value)
    return text if len(text) <= _LONGEST_SHOWN else f"{text[:_LONGEST_SHOWN]}..."
