"""Reading the arrays of a .safetensors file, one at a time, without reading the rest.

The file is 8 bytes of header length (little endian), a JSON header {name: {dtype, shape,
data_offsets}}, and the arrays' bytes.
"""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np

from wave_jax.errors import UserError

_DTYPES: dict[str, Any] = {
    "F64": np.float64, "F32": np.float32, "F16": np.float16, "BF16": ml_dtypes.bfloat16,
}  # fmt: skip
_LENGTH_BYTES = 8
_LONGEST_HEADER = 100_000_000  # the format's own limit


class SafeTensors:
    """The arrays of a file by name.

    Attributes:
      path: the file.
      shapes: of each array of floating point numbers.
    """

    def __init__(self, path: Path) -> None:
        """Reads the header.

        Raises:
          UserError: the file cannot be read or is not whole.
        """
        self.path = path
        try:
            size = path.stat().st_size
            with path.open("rb") as file:
                length = int.from_bytes(file.read(_LENGTH_BYTES), "little")
                text = file.read(length) if length <= _LONGEST_HEADER else b""
        except OSError as error:
            raise UserError(f"cannot read {path}: {error.strerror}") from error
        self._start = _LENGTH_BYTES + length
        self._entries = self._checked(text, length, size - self._start)
        self.shapes = {name: entry[1] for name, entry in self._entries.items()}

    def read(self, name: str) -> np.ndarray:
        """Returns an array as float32."""
        dtype, shape, begin = self._entries[name]
        count = math.prod(shape)
        flat = np.fromfile(self.path, dtype, count, offset=self._start + begin)
        if len(flat) < count:
            raise UserError(f"{self.path} ends inside {name}: it was cut off; copy it again")
        return flat.reshape(shape).astype(np.float32)

    def _checked(
        self, text: bytes, length: int, room: int
    ) -> dict[str, tuple[Any, tuple[int, ...], int]]:
        entries = {}
        try:
            if len(text) < length:
                raise ValueError("its header is cut off")
            for name, entry in json.loads(text).items():
                if name == "__metadata__" or entry["dtype"] not in _DTYPES:
                    continue
                dtype, shape = np.dtype(_DTYPES[entry["dtype"]]), _whole(name, entry["shape"])
                begin, end = _whole(name, entry["data_offsets"])
                if end - begin != math.prod(shape) * dtype.itemsize:
                    raise ValueError(f"{name} has offsets that do not fit its shape")
                if end > room:
                    raise ValueError(f"it ends before {name} does; it was cut off")
                entries[name] = (dtype, shape, begin)
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            reason = " ".join(str(error).split())[:200]
            raise UserError(f"{self.path} is not a whole safetensors file: {reason}") from None
        return entries


def _whole(name: str, numbers: list[int]) -> tuple[int, ...]:
    """Returns a shape or offsets; JSON also knows 1.5, true and Infinity."""
    if not all(type(number) is int and number >= 0 for number in numbers):
        raise ValueError(f"{name} has a shape or offsets that are not whole numbers")
    return tuple(numbers)
