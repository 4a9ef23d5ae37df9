"""Scores as tables in a terminal."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from rich.console import Console
from rich.table import Table
from rich.text import Text

from wave_jax.inference.report import Report

_WIDEST = 12  # classes up to which the confusion matrix fits a terminal
_MOST_CONFUSIONS = 15


def print_report(
    report: Report, labels: Sequence[str], *, title: str, console: Console | None = None
) -> None:
    """Prints overall scores, the scores of each class, and what was taken for what."""
    out = console or Console()
    out.print(Text(title, style="bold"))
    out.print(
        f"accuracy {report.accuracy:.4f}   (always the most frequent class: {report.majority:.4f})"
        f"   examples {report.examples:,}   loss {report.loss:.4f}",
        highlight=False,
    )
    out.print(_class_table(report))
    if len(labels) <= _WIDEST:
        out.print(_confusion_table(report.confusion, labels))
    else:
        out.print(_confusion_list(report.confusion, labels))


def _class_table(report: Report) -> Table:
    table = Table("class", title="Scores of each class", title_justify="left")
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
    table = Table("true \\ predicted", title="Confusion matrix", title_justify="left")
    for label in labels:
        table.add_column(Text(label), justify="right")
    for k, label in enumerate(labels):
        cells = [f"{n:,}" if n else "·" for n in confusion[k]]
        table.add_row(
            Text(label), *(Text(c, "bold" if j == k else "") for j, c in enumerate(cells))
        )
    return table


def _confusion_list(confusion: np.ndarray, labels: Sequence[str]) -> Table:
    wrong = confusion - np.diag(np.diag(confusion))
    order = np.argsort(-wrong, axis=None, kind="stable")[:_MOST_CONFUSIONS]
    table = Table("true", "predicted", title="Most frequent confusions", title_justify="left")
    table.add_column("examples", justify="right")
    for true, predicted in zip(*np.unravel_index(order, wrong.shape), strict=True):
        if wrong[true, predicted]:
            table.add_row(
                Text(labels[true]), Text(labels[predicted]), f"{wrong[true, predicted]:,}"
            )
    return table
