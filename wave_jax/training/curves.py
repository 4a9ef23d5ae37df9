"""Learning curves as a picture, drawn from metrics.jsonl."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from wave_jax.training.log import read_rows

CURVES_FILE = "curves.png"

_COLORS = {"train": "#7a9cc6", "validation": "#c0392b"}


def draw_curves(workdir: Path) -> Path:
    """Writes `workdir/curves.png`: loss and accuracy of training and validation by step."""
    # A Figure of its own needs no display and leaves pyplot's global state alone.
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 3.6), dpi=140, layout="constrained")
    FigureCanvasAgg(figure)
    rows = read_rows(workdir)
    for axes, name in zip(figure.subplots(1, 2), ("loss", "accuracy"), strict=True):
        for split, color in _COLORS.items():
            steps, values = _series(rows, split, name)
            marker = "o" if split == "validation" or len(steps) < 3 else None
            axes.plot(steps, values, color=color, label=split, marker=marker, markersize=4)
        axes.set_xlabel("step")
        axes.set_ylabel(name)
        axes.grid(alpha=0.3)
        axes.spines[["top", "right"]].set_visible(False)
        axes.legend(frameon=False)
    path = workdir / CURVES_FILE
    figure.savefig(path)
    return path


def _series(rows: list[dict[str, Any]], split: str, name: str) -> tuple[list[int], list[float]]:
    chosen = [row for row in rows if row.get("split") == split and row.get(name) is not None]
    return [row["step"] for row in chosen], [row[name] for row in chosen]
