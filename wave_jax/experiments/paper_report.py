"""The report: sections of text, tables and figures, written as Markdown from records alone."""

from __future__ import annotations

import shlex
import statistics
import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure

import wave_jax
from wave_jax.experiments.plan import Found, Jobs, Plan, Record, model_config
from wave_jax.experiments.sources import PreparedSource
from wave_jax.models.config import sizes

CONTENT = tomllib.loads((Path(__file__).parent / "report.toml").read_text("utf-8"))
LABELS: dict[str, str] = CONTENT["labels"]
STUDY = "study"  # the item that is not of the papers

# Okabe and Ito's palette, from dark to light, which survives colour blindness and greyscale; line
# style and marker differ too.
STYLE: dict[str, dict[str, Any]] = {
    "modulation": {"color": "#004f7c", "linestyle": "-", "marker": "o"},
    "interference": {"color": "#d55e00", "linestyle": "--", "marker": "s", "mfc": "none"},
    "transformer": {"color": "#009e73", "linestyle": "-.", "marker": "^"},
    "bert": {"color": "#cc79a7", "linestyle": ":", "marker": "D"},
    "fnet": {"color": "#56b4e9", "linestyle": (0, (5, 1, 1, 1, 1, 1)), "marker": "v"},
    "mean": {"color": "#8a8a8a", "linestyle": (0, (1, 2)), "marker": "x"},
    "attention": {"color": "#000000", "linestyle": (0, (3, 1)), "marker": "P"},
}
_MARKERS = 8  # on a line, so that they do not hide it


class Section(NamedTuple):
    """What an item draws, under the names that report.toml has for it."""

    tables: Sequence[tuple[str, Sequence[Sequence[str]]]] = ()  # "name" or "name: caption"
    figures: Mapping[str, Figure] = {}  # by file
    values: Mapping[str, Any] = {}  # to fill the texts in with


class Item(NamedTuple):
    """A table or figure of the papers, described in report.toml under its name."""

    name: str
    jobs: Callable[[Plan], Jobs]  # may list more once records are made
    draw: Callable[[Plan, Found], Section]  # from records under the same keys


def label(plan: Plan, name: str) -> str:
    """Returns what a model is called, BERT with its size and where it starts."""
    start = "fine-tuned" if plan.pretrained else "from scratch"
    return LABELS[name].format(scale=plan.scale, start=start)


def spread(values: Sequence[float], digits: int = 2) -> str:
    """Returns the mean and, of several values, their standard deviation.

    >>> spread([90, 91]), spread([90], 0)
    ('90.50 ± 0.71', '90')
    """
    deviation = f" ± {statistics.stdev(values):,.{digits}f}" if len(values) > 1 else ""
    return f"{statistics.fmean(values):,.{digits}f}{deviation}"


def subplots(rows: int = 1, columns: int = 1, *, width: float = 4.4, height: float = 3.3) -> Any:
    """Returns (figure, array of axes [rows, columns]); it needs no display."""
    figure = Figure(figsize=(width * columns, height * rows), layout="constrained")
    return figure, figure.subplots(rows, columns, squeeze=False)


def line(axes: Axes, name: str, x: Sequence[float], y: Sequence[float], label: str) -> None:
    """Draws a model's curve in its style."""
    every = max(1, len(x) // _MARKERS)
    size = 7 if "mfc" in STYLE[name] else 4  # a hollow marker shows around one that hides it
    axes.plot(x, y, label=label, markersize=size, linewidth=1.6, markevery=every, **STYLE[name])


def finish(axes: Axes, xlabel: str, ylabel: str, *, legend: bool = True) -> None:
    """Labels the axes, and removes what is not needed."""
    axes.set(xlabel=xlabel, ylabel=ylabel)
    axes.grid(alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)
    if legend:
        axes.legend(frameon=False, fontsize=8)


def write_report(plan: Plan, items: Sequence[Item], records: Sequence[Record]) -> None:
    """Writes report.md and figures/ of items, those without records too; sums `records` up."""
    folder = plan.records.folder
    (folder / "figures").mkdir(parents=True, exist_ok=True)
    papers = any(item.name != STUDY for item in items)  # which says by itself what it trains
    general = _deviations(plan, CONTENT["general"]) if papers else ()
    lines = [_head(plan, records), *(f"- {line}" for line in general)]
    for item in items:
        jobs = item.jobs(plan)
        found = {key: made for key in jobs if (made := plan.found(jobs[key]))}
        missing = sum(map(len, jobs.values())) - sum(map(len, found.values()))
        lines += ["", *_section(plan, item, found, missing), "```sh", _command(plan, item), "```"]
    (folder / "report.md").write_text("\n".join(lines) + "\n", encoding="utf-8")


def _filled_in(text: str, plan: Plan, **values: Any) -> str:
    """Returns a text of report.toml with its braces filled in."""
    for name, common in CONTENT["texts"].items():
        text = text.replace(f"{{{name}}}", common)
    shapes = {name: sizes(model_config(name, plan.scale)) for name in LABELS}
    return text.format(scale=plan.scale, data=plan.datasets[0], sizes=shapes, **values)


def _save(figure: Figure, stem: str) -> None:
    """Writes STEM.svg and STEM.png, the same bytes for the same numbers."""
    figure.draw_without_rendering()  # panels of fixed proportions need a second pass of the layout
    with matplotlib.rc_context({"svg.hashsalt": "wave_jax", "svg.fonttype": "path"}):
        figure.savefig(f"{stem}.svg", dpi=150, metadata={"Date": None})
        figure.savefig(f"{stem}.png", dpi=150, metadata={"Software": None})


def _section(plan: Plan, item: Item, found: Found, missing: int) -> Iterator[str]:
    prose, facts = CONTENT["items"][item.name], CONTENT["facts"]
    yield from (f"## {prose['title'] if found else prose['summary']}", "")
    if "assumed" in prose:
        yield from (facts["reading"].format(assumed=_filled_in(prose["assumed"], plan)), "")
    if missing:
        yield from (f"**{missing} of its records are still missing.**", "")
    if not found:
        yield from ("Not measured yet.", "")
        return
    tables, figures, values = item.draw(plan, found)
    trained = [made for made in found.values() if "train" in made[0]["config"]]
    seeds = sorted({str(len({record["seed"] for record in made})) for made in trained}, key=int)
    ending = [facts["seeds"].format(seeds=" or ".join(seeds))] if seeds else []
    yield from (" ".join([_filled_in(prose["text"], plan, **values), *ending]), "")
    for name, rows in tables:
        name, _, caption = name.partition(": ")
        table = CONTENT["tables"][name]
        rule = "|---|" + "---:|" * (len(table["head"]) - 1)
        yield from (f"**{table['caption'].format(caption=caption)}**", "", _row(table["head"]))
        yield from (rule, *map(_row, rows), "")
    for name, figure in figures.items():
        _save(figure, str(plan.records.folder / "figures" / name))
        caption = _filled_in(CONTENT["pictures"][name], plan, **values)
        yield from (f"![{caption}](figures/{name}.svg)", "")
    named = {name: CONTENT["deviations"][name] for name in prose.get("deviations", ())}
    if deviations := _deviations(plan, named, **values):
        yield from (facts["deviations"], "", *(f"- {text}" for text in deviations), "")


def _deviations(plan: Plan, named: Mapping[str, Mapping[str, str]], **values: Any) -> list[str]:
    conditions = {
        None: True,
        "small": plan.scale.name == "small",
        "checkpoint": plan.pretrained is not None,
        "no checkpoint": plan.pretrained is None,
        "no sentences": not plan.datasets[0].sentences,
    }
    shown = [entry["text"] for entry in named.values() if conditions[entry.get("when")]]
    return [_filled_in(text, plan, **values) for text in shown]


def _row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _command(plan: Plan, item: Item) -> str:
    sources = shlex.join(dict.fromkeys(data.source + data.options for data in plan.datasets))
    given = f" --pretrained {plan.pretrained.label.split()[0]}" if plan.pretrained else ""
    return (
        f"python -m wave_jax reproduce {item.name} --data {sources} --scale {plan.scale.name} "
        f"--seeds {plan.seeds}{given} --out FOLDER"
    )


def _head(plan: Plan, records: Sequence[Record]) -> str:
    facts = CONTENT["facts"]
    hardware, software = (
        "; ".join(sorted({facts[name].format(**record["environment"]) for record in records}))
        for name in ("hardware", "software")
    )
    minutes = sum(record["time"]["total_seconds"] for record in records) / 60
    return _filled_in(
        CONTENT["head"], plan, hardware=hardware, software=software, count=len(records),
        minutes=minutes, texts="; ".join(_texts(data, records) for data in plan.datasets),
        version=wave_jax.__version__,
    )  # fmt: skip


def _texts(data: PreparedSource, records: Sequence[Record]) -> str:
    """Returns a data set's sizes, and how many test texts the runs cut at which length."""
    facts = CONTENT["facts"]
    cut = {
        (record["config"]["data"]["max_length"], record["result"]["texts_cut"]["test"])
        for record in records
        if "texts_cut" in record["result"]
        and record["config"]["data"]["source"].endswith(data.fingerprint[:16])
    }
    found = [facts["cut"].format(cut=number, length=length) for length, number in sorted(cut)]
    return ", ".join([facts["dataset"].format(data=data), *(found or [facts["no-cut"]])])
