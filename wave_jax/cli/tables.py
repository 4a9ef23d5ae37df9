"""Tables in a terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

Cell = str | int | float


def print_table(title: str, columns: Mapping[str, Sequence[Cell]], *, floats: str = ".4f") -> None:
    """Prints columns by their names: strings as they are, floats in the given format."""
    table = Table(title=title, title_justify="left", box=SIMPLE_HEAD)
    for name, cells in columns.items():
        words = all(isinstance(cell, str) for cell in cells)
        table.add_column(name, justify="left" if words else "right", no_wrap=not words)
    formats = {int: ",", float: floats, str: ""}
    for row in zip(*columns.values(), strict=True):
        table.add_row(*(format(cell, formats[type(cell)]) for cell in row))
    # brackets in a text or the name of a class are no markup
    Console(markup=False, emoji=False, highlight=False).print(table)
