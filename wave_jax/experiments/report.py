"""The report: one self-contained HTML page and a Markdown file, from records alone."""

from __future__ import annotations

import base64
import html
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import wave_jax
from wave_jax.experiments.deviations import general_deviations
from wave_jax.experiments.figures import save_figure
from wave_jax.experiments.jobs import Plan, found
from wave_jax.experiments.registry import ITEMS, Item
from wave_jax.experiments.section import Section, Table

PAGE, TEXT, FIGURES = "report.html", "report.md", "figures"

_STYLE = """
:root { color-scheme: light dark; --line: #8884; }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 62rem; margin: 2rem auto; padding: 0 1rem; }
h1, h2 { line-height: 1.2; } h2 { border-top: 1px solid var(--line); padding-top: 1.5rem; }
.wide { overflow-x: auto; } table { border-collapse: collapse; font-size: .87rem; }
caption { text-align: left; font-weight: 600; padding: .6rem 0 .2rem; }
th, td { padding: .25rem .6rem; border-bottom: 1px solid var(--line); text-align: right; }
td:not(:nth-child(2)) { white-space: nowrap; }
th:first-child, td:first-child { text-align: left; }
figure { margin: 1rem 0; } figure img { max-width: 100%; background: #fff; border-radius: 4px; }
figcaption, .small { font-size: .85rem; opacity: .8; } code { font-size: .9em; }
pre { overflow-x: auto; background: #8882; padding: .6rem; border-radius: 4px; }
"""


def write_report(plan: Plan, items: Sequence[Item]) -> tuple[Path, Path]:
    """Draws the items and writes report.html, report.md and figures/; returns the two paths.

    Items whose records are all missing are named as such; nothing is measured.
    """
    folder = plan.records.folder
    (folder / FIGURES).mkdir(parents=True, exist_ok=True)
    sections = []
    for item in items:
        wanted = item.jobs(plan)
        missing = len(wanted) - len(found(plan, wanted))
        none = missing == len(wanted)
        section = Section(item.summary, "Not measured yet.") if none else item.draw(plan)
        for picture in section.pictures:
            save_figure(picture.figure, str(folder / FIGURES / picture.name))
        sections.append((item, section, missing))
    page, text = folder / PAGE, folder / TEXT
    page.write_text(_page(plan, sections, folder), encoding="utf-8")
    text.write_text(_markdown(plan, sections), encoding="utf-8")
    return page, text


def _command(plan: Plan, item: str) -> str:
    sources = " ".join(shlex.quote(data.source) for data in plan.datasets)
    given = f" --pretrained {plan.pretrained.label.split()[0]}" if plan.pretrained else ""
    return (
        f"python -m wave_jax reproduce {item} --data {sources} --scale {plan.scale.name} "
        f"--seeds {plan.seeds}{given} --out FOLDER"
    )


def _facts(plan: Plan) -> list[tuple[str, str]]:
    scale = plan.scale
    texts = "; ".join(
        f"{data.name} ({data.source}, SHA-256 {data.fingerprint[:12]}…): {data.train:,} for "
        f"training, {data.validation:,} for validation, {data.test:,} for the test, "
        f"{data.classes} classes"
        for data in plan.datasets
    )
    keys = {job.key for item in ITEMS.values() for job in item.jobs(plan)}
    made = [record for key in sorted(keys) if (record := plan.records.find(key)) is not None]
    minutes = sum(record["time"]["total_seconds"] for record in made) / 60
    machines = {_machine(record["environment"]) for record in made}
    versions = {_versions(record["environment"]) for record in made}
    return [
        ("Texts", texts),
        (
            "Scale",
            f"{scale.name}: {scale.dim} dimensions, at most {scale.max_length} pieces a text",
        ),
        ("Hardware", "; ".join(sorted(machines))),
        ("Software", f"wave_jax {wave_jax.__version__}, " + "; ".join(sorted(versions))),
        (
            "Time",
            f"{len(made)} records in {minutes:.1f} minutes; seconds depend on what else the "
            "machine was doing, so compare them within one run only",
        ),
    ]


def _machine(here: Mapping[str, Any]) -> str:
    return f"{here['device']} ({here['machine']}, cores: {here['cores']})"


def _versions(here: Mapping[str, Any]) -> str:
    return f"Python {here['python']}, JAX {here['jax']}, Flax {here['flax']}, Optax {here['optax']}"


def _page(plan: Plan, sections: Sequence[tuple[Item, Section, int]], folder: Path) -> str:
    parts = [
        "<!doctype html><html lang=en><meta charset=utf-8>",
        "<meta name=viewport content='width=device-width'>",
        f"<title>Wave Network: the papers' experiments</title><style>{_STYLE}</style>",
        "<h1>The papers' experiments, made again</h1><ul>",
        *(f"<li><b>{name}</b>: {html.escape(value)}" for name, value in _facts(plan)),
        "</ul><p>± is one standard deviation over seeds.</p>",
        _html_list(general_deviations(plan), "Deviations of all items"),
        "<ul class=small>",
        *(f"<li><a href='#{item.name}'>{html.escape(s.title)}</a>" for item, s, _ in sections),
        "</ul>",
    ]
    for item, section, missing in sections:
        parts.append(f"<h2 id={item.name}>{html.escape(section.title)}</h2>")
        if missing:
            parts.append(f"<p><b>{missing} of its records are still missing.</b></p>")
        parts.append(f"<p>{html.escape(section.text)}</p>")
        parts += [_html_table(table) for table in section.tables]
        for picture in section.pictures:
            data = (folder / FIGURES / f"{picture.name}.svg").read_bytes()
            source = "data:image/svg+xml;base64," + base64.b64encode(data).decode()
            caption = html.escape(picture.caption)
            parts.append(
                f"<figure><img alt='{caption}' src='{source}'><figcaption>{caption}</figcaption>"
                "</figure>"
            )
        parts.append(_html_list(section.deviations, "Deviations from the paper"))
        parts.append(f"<pre>{html.escape(_command(plan, item.name))}</pre>")
    return "\n".join(parts) + "</html>\n"


def _html_list(lines: Sequence[str], title: str) -> str:
    if not lines:
        return ""
    items = "".join(f"<li>{html.escape(line)}" for line in lines)
    return f"<p><b>{title}</b></p><ul class=small>{items}</ul>"


def _html_table(table: Table) -> str:
    head = "".join(f"<th scope=col>{html.escape(name)}" for name in table.head)
    rows = "".join(
        "<tr>" + "".join(f"<td>{html.escape(cell)}" for cell in row) for row in table.rows
    )
    caption = html.escape(table.caption)
    return f"<div class=wide><table><caption>{caption}</caption><tr>{head}{rows}</table></div>"


def _markdown(plan: Plan, sections: Sequence[tuple[Item, Section, int]]) -> str:
    lines = ["# The papers' experiments, made again", ""]
    lines += [f"- **{name}**: {value}" for name, value in _facts(plan)]
    lines += ["", "± is one standard deviation over seeds.", ""]
    lines += [f"- {line}" for line in general_deviations(plan)]
    for item, section, missing in sections:
        lines += ["", f"## {section.title}", ""]
        if missing:
            lines += [f"**{missing} of its records are still missing.**", ""]
        lines += [section.text, ""]
        for table in section.tables:
            lines += _markdown_table(table)
        for picture in section.pictures:
            lines += [f"![{picture.caption}]({FIGURES}/{picture.name}.svg)", ""]
        if section.deviations:
            lines += ["Deviations from the paper:", ""]
            lines += [f"- {line}" for line in section.deviations]
            lines.append("")
        lines += ["```sh", _command(plan, item.name), "```"]
    return "\n".join(lines) + "\n"


def _markdown_table(table: Table) -> list[str]:
    def row(cells: Sequence[str]) -> str:
        return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"

    rule = "|---|" + "---:|" * (len(table.head) - 1)
    return [f"**{table.caption}**", "", row(table.head), rule, *map(row, table.rows), ""]
