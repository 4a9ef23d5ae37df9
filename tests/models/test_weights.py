"""Parameters in a safetensors file come back bit by bit; other files are refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from wave_jax.errors import UserError
from wave_jax.models.weights import load_weights, save_weights


def test_they_come_back_as_they_were(tmp_path: Path) -> None:
    odd = np.array([[np.nan, -0.0, 1e-45], [np.inf, 3.0, 1.0]], np.float32)
    params = {"embed": {"embedding": odd.T}, "layer_0": {"mix": odd[0]}}
    save_weights(tmp_path / "weights", params)
    found = load_weights(tmp_path / "weights")
    assert found.keys() == params.keys()
    assert found["embed"]["embedding"].tobytes() == np.ascontiguousarray(odd.T).tobytes()
    assert found["layer_0"]["mix"].tobytes() == odd[0].tobytes()


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"a": np.zeros(2, np.float32), "a.b": np.zeros(2, np.float32)}, "holds no parameters"),
        ({"a": np.zeros(2, np.int8)}, "a is int8, expected float32"),
    ],
)
def test_other_arrays_are_refused(tmp_path: Path, arrays: dict, message: str) -> None:
    save_file(arrays, tmp_path / "weights")
    with pytest.raises(UserError, match=message):
        load_weights(tmp_path / "weights")


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="cannot read .*weights"):
        load_weights(tmp_path / "weights")
