"""Parameters in a safetensors file: named arrays, of which nothing is executed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from flax.traverse_util import flatten_dict, unflatten_dict
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from wave_jax.errors import UserError, one_line

WEIGHTS = "model.safetensors"


@contextmanager
def open_weights(path: Path) -> Iterator[Any]:
    """Opens a file for `get_tensor` and `keys`; UserError where it, or a tensor, cannot be read."""
    try:
        with safe_open(path, framework="numpy") as file:
            yield file
    except SafetensorError as error:
        raise UserError(
            f"{path} is not a whole safetensors file: {one_line(error)}; copy it again"
        ) from None
    except OSError as error:
        raise UserError(f"cannot read {path}: {one_line(error)}") from None


def save_weights(path: Path, params: Any) -> None:
    """Writes nested parameters under flat names such as layer_0.ffn_in.kernel."""
    flat = flatten_dict(params, sep=".")
    arrays = {name: np.ascontiguousarray(leaf) for name, leaf in flat.items()}
    path.write_bytes(save(arrays, metadata={"format": "np"}))


def load_weights(path: Path) -> dict[str, Any]:
    """Returns what `save_weights` wrote, the same bits; UserError where the file is another."""
    with open_weights(path) as file:
        flat = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    if wrong := [name for name, leaf in flat.items() if leaf.dtype != np.float32]:
        raise UserError(f"{path}: {wrong[0]} is {flat[wrong[0]].dtype}, expected float32")
    try:
        return dict(unflatten_dict(flat, sep="."))
    except IndexError:  # a name within another
        raise UserError(f"{path} holds no parameters of wave_jax") from None
