"""`reproduce`: from an item's name to records and a report."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from rich.console import Console

from wave_jax.data.streams import user_path
from wave_jax.data.tokenizer import WordPiece
from wave_jax.errors import Interrupted, UserError, nearest
from wave_jax.experiments import Options, costs, figures, resources, study, study_report, tables
from wave_jax.experiments.paper_report import CONTENT, STUDY, Item, write_report
from wave_jax.experiments.plan import SCALES, Checkpoint, Job, Plan, Scale, measure, model_config
from wave_jax.experiments.records import ABOUT, Records, environment
from wave_jax.experiments.sources import PreparedSource, prepare_source
from wave_jax.models.bert import WEIGHTS, lowercases, read_pretrained, vocabulary_file

ITEMS = {item.name: item for item in (
    Item("wn-table1", tables.table1_jobs, tables.draw_table1),
    Item("wn-table2", tables.table2_jobs, tables.draw_table2),
    Item("wn-figure7", figures.figure7_jobs, figures.draw_figure7),
    Item("bp-figure1", figures.wave_jobs, figures.draw_figure1),
    Item("bp-figure2", figures.figure2_jobs, figures.draw_figure2),
    Item("bp-figure3", figures.gradient_jobs, partial(figures.draw_gradients, "cls")),
    Item("bp-figure4", figures.wave_jobs, figures.draw_figure4),
    Item("bp-figure5", figures.gradient_jobs, partial(figures.draw_gradients, "input")),
    Item("bp-classifier", figures.gradient_jobs, partial(figures.draw_gradients, "classifier")),
    Item("bp-independence", figures.gradient_jobs, figures.draw_independence),
    Item("bp-complexity", resources.complexity_jobs, resources.draw_complexity),
    Item("bp-parameters", resources.parameter_jobs, resources.draw_parameters),
    Item("bp-resources", resources.step_jobs, resources.draw_steps),
    Item("ablations", tables.ablation_jobs, tables.draw_ablations),
    Item(STUDY, study.study_jobs, study_report.draw_study),
)}  # fmt: skip


def list_items(name: str = "all") -> list[str]:
    """Returns a line for an item, or for all: its name, what it shows and what it needs."""
    items = ITEMS.values() if name == "all" else _find(name)
    found = {item.name: CONTENT["items"][item.name] for item in items}
    what = {n: p["summary"] + "; our reading" * ("assumed" in p) for n, p in found.items()}
    return [f"{n:<16} {what[n]}; needs {p.get('needs', 'texts')}" for n, p in found.items()]


def reproduce(options: Options, console: Console) -> Path:
    """Measures what an item, or 'all', still needs, and draws all that has been measured.

    Returns the path of report.md.

    Raises:
      UserError: an unknown item, unusable texts or checkpoint, or a folder with other records.
    """
    items, seeds, out = _find(options.name), options.seeds, user_path(options.out)
    if seeds is not None and seeds < 1:
        raise UserError(f"--seeds is {seeds}, expected 1 or more")
    records = Records(out)
    if not options.draw:
        plan = _new_plan(records, options)
        for data in plan.datasets:
            console.out(CONTENT["facts"]["dataset"].format(data=data), highlight=False)
        try:
            measure(plan, lambda: _jobs(items, plan), out / "work", console)
        except (Interrupted, KeyboardInterrupt):
            text = f"Stopped; {out} keeps what was measured: the same command resumes from there."
            console.out(text, highlight=False)
            raise
        seeds = None
    plan = _recorded_plan(records, seeds)  # with what earlier commands measured too
    jobs = {job.key: job for job in _jobs(ITEMS.values(), plan)}
    found = plan.found(jobs[key] for key in sorted(jobs))
    try:
        write_report(plan, _shown(plan, items), found)
    except OSError as error:
        raise UserError(f"{out} cannot be written: {error.strerror}") from error
    return out / "report.md"


def _find(name: str) -> list[Item]:
    if name == "all":
        return [item for item in ITEMS.values() if item.name != STUDY]  # hours long
    if name not in ITEMS:
        near = nearest(name.lower(), ["all", *ITEMS])
        raise UserError(f"no item {name!r}{near}; --list shows them: all, {', '.join(ITEMS)}")
    return [ITEMS[name]]


def _jobs(items: Iterable[Item], plan: Plan) -> list[Job]:
    return [job for item in items for jobs in item.jobs(plan).values() for job in jobs]


def _shown(plan: Plan, asked: Sequence[Item]) -> list[Item]:
    """Returns the items asked for, complete ones, and those with records not shared by these."""
    keys = {name: {job.key for job in _jobs([item], plan)} for name, item in ITEMS.items()}
    made = {key for key in set().union(*keys.values()) if plan.records.find(key) is not None}
    sure = {item.name for item in asked} | {name for name in keys if keys[name] <= made}
    shared = set().union(*(keys[name] for name in sure))
    return [item for name, item in ITEMS.items() if name in sure or keys[name] & made - shared]


def _new_plan(records: Records, options: Options) -> Plan:
    size, given, work = SCALES[options.scale], options.pretrained, records.folder / "work"
    checkpoint = None if given is None else _checkpoint(str(user_path(given)), size)
    if not options.data:
        raise UserError("--data needs a value: a source of texts, or several")
    if options.name == STUDY:
        datasets = study.prepare_study(options.data, work, size.texts)
    else:
        limits = size.texts, size.test_texts
        datasets = [prepare_source(text, work, *limits) for text in options.data]
    folders = {data.name: data.folder for data in datasets}
    if len(folders) < len(datasets):
        raise UserError(f"--data names a data set twice: {', '.join(d.name for d in datasets)}")
    about: dict[str, Any] = {
        "scale": size.name,
        "datasets": [data.about() for data in datasets],
        "pretrained": checkpoint.label if checkpoint else None,
        "seeds": options.seeds or size.seeds,
        "environment": environment(),
    }
    known = records.claim(about)["datasets"]  # under the names that they first had
    texts = {facts["name"]: facts for facts in known}
    used = tuple(PreparedSource(**texts[name], folder=folder) for name, folder in folders.items())
    return Plan(size, used, about["seeds"], records, checkpoint)


def _recorded_plan(records: Records, seeds: int | None) -> Plan:
    about = records.about
    if about is None:
        raise UserError(f"{records.folder} holds no records to draw: measure first, without --draw")
    try:
        datasets = tuple(PreparedSource(**facts) for facts in about["datasets"])
        scale, label, known = SCALES[about["scale"]], about["pretrained"], about["seeds"]
    except (KeyError, TypeError) as error:
        path = records.folder / ABOUT
        raise UserError(f"{path} is damaged ({error}): give another --out") from None
    return Plan(scale, datasets, seeds or known, records, Checkpoint("", label) if label else None)


def _checkpoint(folder: str, scale: Scale) -> Checkpoint:
    """Finds at once what would stop BERT, at the scale's size, when its turn comes."""
    try:
        tokens = WordPiece.from_file(vocabulary_file(folder)).vocab_size
        if lowercases(folder) is False:
            raise UserError(f"{folder} is cased, and texts are lowercased: give an uncased one")
        config = dataclasses.replace(model_config("bert", scale), pretrained=folder)
        lengths = {"vocab_size": tokens, "max_length": scale.max_length}
        like = costs.model_and_shapes(config, **lengths)[1]
        advice = "give another checkpoint, or another --scale".format
        read_pretrained(config, **lengths, like=like, advice=advice)
    except UserError as error:
        size = f"dimensions: {scale.dim}, layers: {scale.bert_layers}"
        raise UserError(f"--pretrained, at --scale {scale.name} ({size}): {error}") from None
    with (Path(folder) / WEIGHTS).open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return Checkpoint(folder, f"{Path(folder).resolve().name} {digest[:16]}")
