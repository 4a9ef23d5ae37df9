"""The report: sections of text, tables and figures, written as Markdown from records alone."""

from __future__ import annotations

import math
import shlex
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import matplotlib
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

import wave_jax
from wave_jax.experiments.plan import Job, Plan, Record

# Okabe and Ito's palette, from dark to light, which survives colour blindness and greyscale; line
# style and marker differ too.
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


class Table(NamedTuple):
    """Rows of text under headings; the first column is left-aligned, the others right."""

    caption: str
    head: Sequence[str]
    rows: Sequence[Sequence[str]]


class Picture(NamedTuple):
    """A figure, its file's name, and a caption that describes it."""

    name: str
    caption: str
    figure: Figure


class Section(NamedTuple):
    """One item of the report; `deviations` are from the paper's protocol, with reasons."""

    title: str
    text: str
    tables: Sequence[Table] = ()
    pictures: Sequence[Picture] = ()
    deviations: Sequence[str] = ()


class Item(NamedTuple):
    """A table or figure of the papers.

    Attributes:
        jobs: plan -> what has to be measured, under keys of the item's own; it may list more once
            other records are made.
        draw: (plan, records under the same keys, where there are any) -> section.
        needs: input beside records.
    """

    name: str
    summary: str
    jobs: Callable[[Plan], Mapping[Any, Sequence[Job]]]
    draw: Callable[[Plan, dict[Any, list[Record]]], Section]
    needs: str = "texts"


def spread(values: Sequence[float], digits: int = 2) -> str:
    """Returns the mean and, of several values, their standard deviation.

    >>> spread([90, 91]), spread([90], 0)
    ('90.50 ± 0.71', '90')
    """
    mean = sum(values) / len(values)
    if len(values) == 1:
        return f"{mean:,.{digits}f}"
    deviation = math.sqrt(sum((v - mean) ** 2 for v in values) / (len(values) - 1))
    return f"{mean:,.{digits}f} ± {deviation:,.{digits}f}"


def new_figure(rows: int = 1, columns: int = 1, *, width: float = 4.4, height: float = 3.3) -> Any:
    """Returns (figure, array of axes [rows, columns]); it needs no display."""
    figure = Figure(figsize=(width * columns, height * rows), layout="constrained")
    FigureCanvasAgg(figure)
    return figure, figure.subplots(rows, columns, squeeze=False)


def line(axes: Axes, name: str, x: Sequence[float], y: Sequence[float], label: str) -> Any:
    """Draws a model's curve in its style; returns its colour."""
    every = max(1, len(x) // _MARKERS)
    size = 7 if "mfc" in STYLES[name] else 4  # a hollow marker shows around one that hides it
    axes.plot(x, y, label=label, markersize=size, linewidth=1.6, markevery=every, **STYLES[name])
    return STYLES[name]["color"]


def finish(axes: Axes, xlabel: str, ylabel: str, *, title: str = "", legend: bool = True) -> None:
    """Labels the axes, and removes what is not needed."""
    axes.set_xlabel(xlabel)
    axes.set_ylabel(ylabel)
    if title:
        axes.set_title(title, fontsize=10)
    axes.grid(alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)
    if legend and axes.get_legend_handles_labels()[0]:
        axes.legend(frameon=False, fontsize=8)


def write_report(plan: Plan, items: Sequence[Item], records: Sequence[Record]) -> None:
    """Writes report.md and figures/ of items, those without records too; sums `records` up."""
    folder = plan.records.folder
    (folder / "figures").mkdir(parents=True, exist_ok=True)
    lines = ["# The papers' experiments, made again", ""]
    lines += [f"- **{name}**: {value}" for name, value in _facts(plan, records).items()]
    lines += ["", "± is one standard deviation over seeds.", ""]
    lines += [f"- {line}" for line in _deviations(plan)]
    for item in items:
        jobs = item.jobs(plan)
        found = {key: made for key in jobs if (made := plan.found(jobs[key]))}
        missing = sum(map(len, jobs.values())) - sum(map(len, found.values()))
        section = Section(item.summary, "Not measured yet.")
        if found:
            section = item.draw(plan, found)
        for picture in section.pictures:
            _save(picture.figure, str(folder / "figures" / picture.name))
        lines += [*_section(section, missing), "```sh", _command(plan, item), "```"]
    (folder / "report.md").write_text("\n".join(lines) + "\n", encoding="utf-8")


def _save(figure: Figure, stem: str) -> None:
    """Writes STEM.svg and STEM.png, the same bytes for the same numbers."""
    figure.draw_without_rendering()  # panels of fixed proportions need a second pass of the layout
    with matplotlib.rc_context({"svg.hashsalt": "wave_jax", "svg.fonttype": "path"}):
        figure.savefig(f"{stem}.svg", dpi=150, metadata={"Date": None})
        figure.savefig(f"{stem}.png", dpi=150, metadata={"Software": None})


def _section(section: Section, missing: int) -> list[str]:
    def row(cells: Sequence[str]) -> str:
        return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"

    lines = ["", f"## {section.title}", ""]
    if missing:
        lines += [f"**{missing} of its records are still missing.**", ""]
    lines += [section.text, ""]
    for caption, head, rows in section.tables:
        rule = "|---|" + "---:|" * (len(head) - 1)
        lines += [f"**{caption}**", "", row(head), rule, *map(row, rows), ""]
    for picture in section.pictures:
        lines += [f"![{picture.caption}](figures/{picture.name}.svg)", ""]
    if section.deviations:
        lines += ["Deviations from the paper:", "", *(f"- {d}" for d in section.deviations), ""]
    return lines


def _command(plan: Plan, item: Item) -> str:
    sources = " ".join(shlex.quote(data.source) for data in plan.datasets)
    given = f" --pretrained {plan.pretrained.label.split()[0]}" if plan.pretrained else ""
    return (
        f"python -m wave_jax reproduce {item.name} --data {sources} --scale {plan.scale.name} "
        f"--seeds {plan.seeds}{given} --out FOLDER"
    )


def _facts(plan: Plan, records: Sequence[Record]) -> dict[str, str]:
    texts = "; ".join(
        f"{data.name} ({data.source}, SHA-256 {data.fingerprint[:12]}…): {data.train:,} for "
        f"training, {data.validation:,} for validation, {data.test:,} for testing, "
        f"{data.classes} classes"
        for data in plan.datasets
    )
    minutes = sum(record["time"]["total_seconds"] for record in records) / 60
    machine = "{device} ({machine}, cores: {cores})"
    versions = "Python {python}, JAX {jax}, Flax {flax}, Optax {optax}"
    machine, versions = (
        "; ".join(sorted({text.format(**record["environment"]) for record in records}))
        for text in (machine, versions)
    )
    dim, length = plan.scale.dim, plan.scale.max_length
    return {
        "Texts": texts,
        "Scale": f"{plan.scale.name}: {dim} dimensions, at most {length} tokens a text",
        "Hardware": machine,
        "Software": f"wave_jax {wave_jax.__version__}, {versions}",
        "Time": f"{len(records)} records in {minutes:.1f} minutes; times depend on the machine's "
        "load, so compare them within one run only",
    }


def _deviations(plan: Plan) -> list[str]:
    """Returns those of all items."""
    scale = plan.scale
    sizes = [
        f"{scale.dim} dimensions instead of 768, at most {scale.max_length} tokens a text, at most "
        f"{scale.texts:,} texts for training and validation and {scale.test_texts:,} for testing: "
        "to fit two cores."
    ]
    return [
        *(sizes if scale.name == "small" else []),
        f"The vocabulary, of at most {scale.vocab_size:,} tokens, is learned from the texts, so "
        "that BERT's is not needed; a checkpoint brings its own.",
        "The papers' waves have a positional encoding of an unnamed kind; ours have none, as none "
        "improved accuracy (see the ablations).",
        "Our waves have a norm before the feed-forward too, so that what is read from them has the "
        "same scale for texts of any length: 2,368,516 parameters for 4 classes without the "
        "embedding table at 768 dimensions, where one norm would make 2,366,980.",
        "What the papers leave open is our choice: pooling at [CLS], the readout of a wave "
        "(modulation: real part, interference: magnitude), word dropout of 0.4 for all models but "
        "BERT.",
        "All models are trained by AdamW with weight decay 0.01, a warm-up of 100 steps (at most a "
        "tenth of the run) and gradients clipped at 1, in float32; the learning rate follows a "
        "cosine unless called constant. Of the embedding table, waves and the mean update a "
        "batch's rows only, the others all rows. The papers state only a learning rate.",
    ]
