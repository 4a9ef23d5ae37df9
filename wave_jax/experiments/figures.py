"""How the report's pictures look: colours that survive colour blindness and greyscale."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Okabe and Ito's palette, from dark to light; line style and marker tell them apart without colour.
STYLES: dict[str, dict[str, Any]] = {
    "modulation": {"color": "#004f7c", "linestyle": "-", "marker": "o"},
    "interference": {"color": "#d55e00", "linestyle": "--", "marker": "s", "mfc": "none"},
    "transformer": {"color": "#009e73", "linestyle": "-.", "marker": "^"},
    "bert": {"color": "#cc79a7", "linestyle": ":", "marker": "D"},
    "fnet": {"color": "#56b4e9", "linestyle": (0, (5, 1, 1, 1, 1, 1)), "marker": "v"},
    "mean": {"color": "#8a8a8a", "linestyle": (0, (1, 2)), "marker": "x"},
    "attention": {"color": "#000000", "linestyle": (0, (3, 1)), "marker": "P"},
}
_MARKERS = 8  # on a line, so that they do not hide it
SEQUENTIAL, DIVERGING = "cividis", "PuOr"


def new_figure(rows: int = 1, columns: int = 1, *, width: float = 4.4, height: float = 3.3) -> Any:
    """Returns (figure, array of axes [rows, columns]); it needs no display."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure as NewFigure

    figure = NewFigure(figsize=(width * columns, height * rows), layout="constrained")
    FigureCanvasAgg(figure)
    return figure, figure.subplots(rows, columns, squeeze=False)


def line(axes: Axes, name: str, x: Sequence[float], y: Sequence[float], label: str) -> None:
    """Draws a contestant's curve in its style."""
    every = max(1, len(x) // _MARKERS)
    size = 7 if "mfc" in STYLES[name] else 4  # a hollow marker shows around one that hides it
    axes.plot(x, y, label=label, markersize=size, linewidth=1.6, markevery=every, **STYLES[name])


def finish(axes: Axes, xlabel: str, ylabel: str, *, title: str = "", legend: bool = True) -> None:
    """Names the axes and clears away what is not needed."""
    axes.set_xlabel(xlabel)
    axes.set_ylabel(ylabel)
    if title:
        axes.set_title(title, fontsize=10)
    axes.grid(alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)
    if legend and axes.get_legend_handles_labels()[0]:
        axes.legend(frameon=False, fontsize=8)


def save_figure(figure: Figure, stem: str, formats: Sequence[str] = ("svg", "png")) -> None:
    """Writes STEM.svg and STEM.png, the same bytes for the same numbers."""
    import matplotlib

    figure.draw_without_rendering()  # panels of fixed proportions need a second pass of the layout
    with matplotlib.rc_context({"svg.hashsalt": "wave_jax", "svg.fonttype": "path"}):
        for kind in formats:
            metadata = {"Date": None} if kind == "svg" else {"Software": None}
            figure.savefig(f"{stem}.{kind}", dpi=150, metadata=metadata)
