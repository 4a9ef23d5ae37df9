"""Probed texts as one self-contained HTML page: no network, no library, the data embedded.

Arrays are stored in base64, phases as 16-bit integers over [0, pi], all others as 16-bit floats
relative to the array's largest value. If not all dimensions fit, the most influential ones are
kept, and the page says how many.
"""

from __future__ import annotations

import base64
import hashlib
import html
import json
from collections.abc import Sequence
from importlib import resources
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from wave_jax.errors import UserError
from wave_jax.probe.gradients import LayerGradients
from wave_jax.probe.result import TextProbe, probe_record

_MOST_BYTES = 1_800_000  # of embedded arrays, base64 included; the page around them is about 40 kB
SHARED_SCRIPTS = ("data.js", "colours.js", "grid.js", "pictures.js", "phasors.js")
"""What draws the pictures; `wave_jax.export.web` has them too."""


def render_page(probes: Sequence[TextProbe]) -> str:
    """Returns a page for one or several probed texts, below 2 MB, as HTML to be saved in UTF-8.

    Texts and labels are shown as they are: markup in them is escaped.
    """
    if not probes:
        raise ValueError("a page needs at least one probed text")
    budget = _MOST_BYTES // sum(len(p.result.gradients.layers) for p in probes)
    data = json.dumps([_text_data(probe, budget) for probe in probes], separators=(",", ":"))
    for mark in "<>&":  # so that nothing in the data can be taken for, or end, an element
        data = data.replace(mark, f"\\u{ord(mark):04x}")
    title = probes[0].text[:80] if len(probes) == 1 else f"{len(probes)} texts"
    script = "\n".join(map(asset, (*SHARED_SCRIPTS, "page.js")))
    values = {"TITLE": html.escape(title), "DATA": data}
    return fill(asset("page.html"), asset("page.css"), f"(() => {{\n{script}\n}})();", **values)


def fill(template: str, style: str, *scripts: str, **values: str) -> str:
    """Returns a page: a template whose %%NAME%% are replaced by HTML.

    %%STYLE%% and %%SCRIPTS%% are elements, strict and in this order; %%POLICY%% allows these alone.
    """
    scripts = tuple(f'"use strict";\n{script}' for script in scripts)
    allowed = " ".join(f"'{_digest(script)}'" for script in scripts)
    policy = f"default-src 'none'; style-src '{_digest(style)}'; script-src {allowed}"
    values |= {"POLICY": html.escape(policy), "STYLE": f"<style>{style}</style>"}
    values |= {"SCRIPTS": "\n".join(f"<script>{script}</script>" for script in scripts)}
    parts = template.split("%%")  # text, name, text, name, ..., text
    return "".join(values[part] if i % 2 else part for i, part in enumerate(parts))


def asset(name: str, package: str = "wave_jax.probe") -> str:
    """Returns the text of a file in a package's folder of assets."""
    return resources.files(package).joinpath("assets", name).read_text(encoding="utf-8")


def _text_data(probe: TextProbe, budget: int) -> dict[str, Any]:
    record, result = probe_record(probe), probe.result
    layers = zip(record["layers"], result.gradients.layers, result.couplings, strict=True)
    for numbers, layer, couplings in layers:
        numbers.update(_layer_data(layer, couplings, budget))
    return record


def _layer_data(layer: LayerGradients, couplings: dict[str, Any], budget: int) -> dict[str, Any]:
    influence = np.sqrt(sum(np.square(v.total[0], dtype=np.float64) for v in layer.variants))
    tokens, dims = influence.shape
    rows = sum(v.magnitude.shape[1] + 2 * tokens for v in layer.variants) + tokens
    numbers = budget * 3 // 4 // 2 - 2 * len(couplings) * tokens * tokens  # base64, 16 bits
    if numbers < rows:
        raise UserError(f"a page of {tokens} tokens is larger than 2 MB: shorten the text")
    kept = int(np.clip(numbers // rows, min(8, dims), dims))
    order = np.argsort(-influence.sum(axis=0), kind="stable")[:kept]
    return {
        "dimensions": dims,
        "order": order.tolist(),
        "influence": _floats(influence[:, order]),
        "variants": [
            {
                "magnitude": _floats(variant.magnitude[0][:, order]),
                "phase": _phases(variant.phase[0][:, order]),
                "d_phase": _floats(variant.d_phase[0][:, order]),
            }
            for variant in layer.variants
        ],
        "couplings": {
            op: {"real": _floats(real[0]), "imag": _floats(imag[0])}
            for op, (real, imag) in couplings.items()
        },
    }


def _floats(x: ArrayLike) -> dict[str, Any]:
    wide = np.asarray(x, np.float64)
    scale = float(np.abs(wide).max(initial=0.0)) or 1.0
    return _encoded((wide / scale).astype("<f2"), "float", scale)


def _phases(x: ArrayLike) -> dict[str, Any]:
    steps = np.round(np.clip(np.asarray(x, np.float64) / np.pi, 0, 1) * 65535)
    return _encoded(steps.astype("<u2"), "integer", float(np.pi / 65535))


def _encoded(x: np.ndarray, kind: str, scale: float) -> dict[str, Any]:
    data = _base64(np.ascontiguousarray(x).tobytes())
    return {"rows": x.shape[0], "columns": x.shape[1], "kind": kind, "scale": scale, "data": data}


def _digest(source: str) -> str:
    """Returns the hash by which a content security policy allows exactly this source."""
    return "sha256-" + _base64(hashlib.sha256(source.encode()).digest())


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")
