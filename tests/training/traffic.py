"""Bytes that cross devices in a compiled step, counted from its HLO."""

from __future__ import annotations

import math
import re

_KINDS = ("all-reduce", "all-gather", "reduce-scatter", "all-to-all", "collective-permute")
_CALL = re.compile(rf"= (?P<shapes>[^=]*?) (?P<kind>{'|'.join(_KINDS)})(?P<half>-start|-done)?\(")
_ARRAY = re.compile(r"(?P<type>pred|[a-z]+(?P<bits>\d+)\w*)\[(?P<sizes>[\d,]*)\]")


def collective_bytes(hlo: str) -> dict[str, int]:
    """Returns the bytes of the results of each kind of collective in one run of the program.

    What goes over the wires follows from the algorithm: a ring of n devices sends 2 (n - 1)/n times
    the bytes of an all-reduce from each device, (n - 1)/n times those of an all-gather. Collectives
    in a loop count once, so count on unrolled steps.

    Args:
        hlo: `compiled.as_text()`.

    >>> collective_bytes("x = (f32[2,3]{1,0}, bf16[4]{0}) all-reduce(a, b), channel_id=1")
    {'all-reduce': 32}
    """
    found: dict[str, int] = {}
    for call in _CALL.finditer(hlo):
        if call["half"] != "-done":  # an asynchronous one is counted where it starts
            size = sum(_bytes(array) for array in _ARRAY.finditer(call["shapes"]))
            found[call["kind"]] = found.get(call["kind"], 0) + size
    return found


def _bytes(array: re.Match[str]) -> int:
    width = 1 if array["type"] == "pred" else math.ceil(int(array["bits"]) / 8)
    return width * math.prod(int(size) for size in array["sizes"].split(",") if size)
