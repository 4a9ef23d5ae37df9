"""The papers' tables and figures: measuring writes JSON records, drawing reads them.

An item lists the jobs that it needs; jobs with the same key are measured once for all items.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

import tyro


@dataclass(frozen=True)
class Options:
    """What to reproduce, on which data sets, how large."""

    name: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="ITEM")] = ""
    """An item of --list, or 'all'."""
    list: bool = False
    """Show all items, one a line: name, what it shows, what it needs."""
    data: tuple[str, ...] = ("docstrings",)
    """Data sets, as --data.source of `train`; wn-table2 uses all, the others the first."""
    seeds: int | None = None
    """Seeds of tables 1 and 2 and of the study; by default 3 at the small scale, 5 at the paper's.
    Ablations have 5, figures of a single run one."""
    scale: Literal["small", "paper"] = "small"
    """'paper' has the papers' sizes and needs a GPU; 'small' fits two cores."""
    pretrained: str | None = None
    """Folder of a BERT checkpoint (config.json, model.safetensors, vocab.txt) for BERT, and for the
    Transformer's token embeddings."""
    out: str = "reproduced"
    """Folder of records, figures and report."""
    draw: bool = False
    """Only redraw tables and figures; the records say of which data sets, scale and checkpoint."""
