"""Plots of metrics.jsonl: learning curves and probes."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from wave_jax.runs.metrics_log import read_rows

CURVES_FILE, PROBE_FILE = "curves.png", "probe.png"

_SPLIT_COLORS = {"train": "#7a9cc6", "validation": "#c0392b"}
_PROBE_COLORS = ("#0b4f8a", "#c26a00", "#4b8f6a", "#8a4f9e", "#7a7a7a", "#b03060")
_PROBE_PANELS = (
    ("gradient_norm/", "L2 norm of the gradient", "log"),
    ("/mean_abs_d_magnitude", "mean |dL/dG|", "log"),
    ("/mean_abs_d_phase", "mean |dL/dα|", "log"),
    ("/magnitude_share", "share of the magnitude path", "linear"),
)


def draw_curves(workdir: Path) -> Path:
    """Writes `workdir/curves.png`: loss and accuracy of training and validation by step."""
    figure, rows = _figure(9, 3.6), read_rows(workdir)
    for axes, name in zip(figure.subplots(1, 2), ("loss", "accuracy"), strict=True):
        for split, color in _SPLIT_COLORS.items():
            chosen = (row for row in rows if row.get("split") == split)
            marker = "o" if split == "validation" else None
            _plot(axes, chosen, name, label=split, color=color, marker=marker, markersize=4)
        axes.set_ylabel(name)
        _finish(axes)
    path = workdir / CURVES_FILE
    figure.savefig(path)
    return path


def draw_probe(workdir: Path) -> Path | None:
    """Writes `workdir/probe.png`, the probes of a run by step; None where it has none."""
    rows = [row for row in read_rows(workdir) if row.get("split") == "probe"]
    if not rows:
        return None
    figure = _figure(9, 6.4)
    for axes, (key, title, scale) in zip(figure.subplots(2, 2).flat, _PROBE_PANELS, strict=True):
        for index, name in enumerate(name for name in rows[-1] if key in name):
            color = _PROBE_COLORS[index % len(_PROBE_COLORS)]
            _plot(axes, rows, name, label=name.replace(key, ""), color=color)
        if scale == "linear":
            axes.set_ylim(0, 1)
        elif all(row[name] for row in rows for name in row if key in name):
            axes.set_yscale("log")
        axes.set_title(title, fontsize=10)
        _finish(axes)
    path = workdir / PROBE_FILE
    figure.savefig(path)
    return path


def _figure(width: float, height: float) -> Any:
    # A Figure of its own needs no display and leaves pyplot's global state alone.
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), dpi=140, layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def _plot(axes: Any, rows: Iterable[dict[str, Any]], name: str, **style: Any) -> None:
    points = [(row["step"], row[name]) for row in rows if row.get(name) is not None]
    if len(points) < 3:
        style["marker"] = "o"
    axes.plot([step for step, _ in points], [value for _, value in points], **style)


def _finish(axes: Any) -> None:
    axes.set_xlabel("step")
    axes.grid(alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, fontsize=8)
