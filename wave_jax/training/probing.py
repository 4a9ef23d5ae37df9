"""Gradients through magnitude and phase, watched while a network learns."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh

from wave_jax.data.prepare import TokenizedSplit
from wave_jax.errors import UserError
from wave_jax.probe.summary import summarize
from wave_jax.training.compilation import matmul_precision
from wave_jax.training.config import Config
from wave_jax.training.log import read_rows
from wave_jax.training.mesh import replicated
from wave_jax.training.state import Params

PROBE_FILE = "probe.png"
_TEXTS = 8
_COLORS = ("#0b4f8a", "#c26a00", "#4b8f6a", "#8a4f9e", "#7a7a7a", "#b03060")


def check_probe(config: Config) -> None:
    """Raises UserError where `--probe.every` asks for what cannot be."""
    every, kind = config.probe.every, config.model.kind
    if every < 0:
        raise UserError(f"--probe.every is {every}, expected 0 (never) or a number of steps")
    if every and kind != "wave":
        raise UserError(
            f"--probe.every looks at waves, and --model.kind {kind} has none: leave it out"
        )


class GradientProbe:
    """Measures the gradients of a fixed handful of validation texts; a hook of the training loop.

    The same texts at every step: eight, spread evenly over the validation part, so that the curves
    show the network's change and not the texts'.
    """

    def __init__(self, model: Any, split: TokenizedSplit, mesh: Mesh, every: int) -> None:
        self.every = every
        chosen = np.unique(np.linspace(0, len(split.labels) - 1, _TEXTS).round().astype(int))
        texts = [split.tokens[int(index)] for index in chosen]
        shape = len(texts), max(map(len, texts))
        self._ids, self._mask = np.zeros(shape, np.int32), np.zeros(shape, bool)
        for row, ids in enumerate(texts):
            self._ids[row, : len(ids)], self._mask[row, : len(ids)] = ids, True
        self._labels = split.labels[chosen]
        self._summarize = jax.jit(partial(summarize, model), out_shardings=replicated(mesh))

    def __call__(self, step: int, params: Params) -> dict[str, float]:
        """Returns the fields of a row of metrics.jsonl."""
        del step
        with matmul_precision("float32"):
            found = self._summarize(params, self._ids, self._labels, mask=self._mask)
        return {name: float(value) for name, value in jax.device_get(found).items()}


def draw_probe(workdir: Path) -> Path | None:
    """Writes `workdir/probe.png`, the probes of a run by step; None where it has none."""
    rows = [row for row in read_rows(workdir) if row.get("split") == "probe"]
    if not rows:
        return None
    # A Figure of its own needs no display and leaves pyplot's global state alone.
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 6.4), dpi=140, layout="constrained")
    FigureCanvasAgg(figure)
    panels = (
        ("gradient_norm/", "L2 norm of the gradient", "log"),
        ("/mean_abs_d_magnitude", "mean |dL/dG|", "log"),
        ("/mean_abs_d_phase", "mean |dL/dα|", "log"),
        ("/magnitude_share", "share of the magnitude path", "linear"),
    )
    for axes, (key, title, scale) in zip(figure.subplots(2, 2).flat, panels, strict=True):
        for index, name in enumerate(name for name in rows[-1] if key in name):
            points = [(row["step"], row[name]) for row in rows if row.get(name) is not None]
            marker = "o" if len(points) < 3 else None
            label = name.replace(key, "")
            color = _COLORS[index % len(_COLORS)]
            axes.plot(*zip(*points, strict=True), label=label, color=color, marker=marker)
        if scale == "log" and all(row[name] for row in rows for name in row if key in name):
            axes.set_yscale("log")
        if scale == "linear":
            axes.set_ylim(0, 1)
        axes.set_xlabel("step")
        axes.set_title(title, fontsize=10)
        axes.grid(alpha=0.3)
        axes.spines[["top", "right"]].set_visible(False)
        axes.legend(frameon=False, fontsize=8)
    path = workdir / PROBE_FILE
    figure.savefig(path)
    return path
