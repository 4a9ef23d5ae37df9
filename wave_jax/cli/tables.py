"""Scores as tables in a terminal."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from wave_jax.inference.report import Report

_WIDEST = 14  # classes up to which the confusion matrix fits a terminal
_MOST_CONFUSIONS = 15


def print_report(
    report: Report, labels: Sequence[str], *, title: str, console: Console | None = None
) -> None:
    """Prints overall scores, the scores of each class, and what was taken for what."""
    out = console or Console()
    out.print(Text(title, style="bold"))
    out.print(_overall(report))
    out.print(_class_table(report))
    if len(labels) <= _WIDEST:
        out.print(_confusion_table(report.confusion, labels))
    else:
        out.print(_confusion_list(report.confusion, labels))


def _overall(report: Report) -> Table:
    table = Table(show_header=False, box=None, pad_edge=False)
    table.add_row("accuracy", f"{report.accuracy:.4f} of {report.examples:,} texts")
    table.add_row("majority class", f"{report.majority:.4f}")
    table.add_row("loss", f"{report.loss:.4f}")
    return table


def _class_table(report: Report) -> Table:
    table = Table("class", title="Scores of each class", title_justify="left", box=SIMPLE_HEAD)
    for name in ("precision", "recall", "F1", "examples"):
        table.add_column(name, justify="right")
    for score in report.per_class:
        numbers = (f"{x:.4f}" for x in (score.precision, score.recall, score.f1))
        table.add_row(Text(score.label), *numbers, f"{score.examples:,}")
    table.add_section()
    means = (report.macro_precision, report.macro_recall, report.macro_f1)
    table.add_row("macro mean", *(f"{x:.4f}" for x in means), f"{report.examples:,}")
    return table


def _confusion_table(confusion: np.ndarray, labels: Sequence[str]) -> Table:
    """Numbers the classes, so that columns stay narrow."""
    title = "Confusion matrix: rows are true classes, columns predicted ones"
    table = Table("true class", title=title, title_justify="left", box=SIMPLE_HEAD, padding=(0, 1))
    for k in range(len(labels)):
        table.add_column(str(k + 1), justify="right", no_wrap=True)
    for k, label in enumerate(labels):
        cells = [f"{n}" if n else "·" for n in confusion[k]]
        styled = (Text(cell, "bold" if j == k else "") for j, cell in enumerate(cells))
        table.add_row(Text(f"{k + 1:>2} {label}", overflow="ellipsis", no_wrap=True), *styled)
    return table


def _confusion_list(confusion: np.ndarray, labels: Sequence[str]) -> Table:
    wrong = confusion - np.diag(np.diag(confusion))
    order = np.argsort(-wrong, axis=None, kind="stable")[:_MOST_CONFUSIONS]
    title = "Most frequent confusions"
    table = Table("true", "predicted", title=title, title_justify="left", box=SIMPLE_HEAD)
    table.add_column("examples", justify="right")
    for true, predicted in zip(*np.unravel_index(order, wrong.shape), strict=True):
        if wrong[true, predicted]:
            table.add_row(
                Text(labels[true]), Text(labels[predicted]), f"{wrong[true, predicted]:,}"
            )
    return table
