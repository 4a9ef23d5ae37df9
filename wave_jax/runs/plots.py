"""Learning curves as a picture, drawn from metrics.jsonl."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from wave_jax.runs.metrics_log import read_rows

CURVES_FILE, PROBE_FILE = "curves.png", "probe.png"
_PROBE_COLORS = ("#0b4f8a", "#c26a00", "#4b8f6a", "#8a4f9e", "#7a7a7a", "#b03060")

_SPLIT_COLORS = {"train": "#7a9cc6", "validation": "#c0392b"}


def draw_curves(workdir: Path) -> Path:
    """Writes `workdir/curves.png`: loss and accuracy of training and validation by step."""
    # A Figure of its own needs no display and leaves pyplot's global state alone.
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 3.6), dpi=140, layout="constrained")
    FigureCanvasAgg(figure)
    rows = read_rows(workdir)
    for axes, name in zip(figure.subplots(1, 2), ("loss", "accuracy"), strict=True):
        for split, color in _SPLIT_COLORS.items():
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
            color = _PROBE_COLORS[index % len(_PROBE_COLORS)]
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
