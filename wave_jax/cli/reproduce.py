"""`python -m wave_jax reproduce`: the papers' tables and figures, measured and drawn."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Literal

import tyro

from wave_jax.cli.app import parse
from wave_jax.errors import UserError

_DESCRIPTION = """Measures a table or figure of the papers, or all of them, and writes a report.

Examples:
  python -m wave_jax reproduce --list
  python -m wave_jax reproduce all                                   embedded texts, small
  python -m wave_jax reproduce wn-table1 --data ag_news_csv
  python -m wave_jax reproduce wn-table2 --data ag_news_csv dbpedia_csv --scale paper --seeds 5
  python -m wave_jax reproduce all --out results/mine --draw         redraw tables and figures

Every measurement is a record in the folder --out. What is there is not measured again, so an
interrupted command resumes when it is repeated."""


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
    """Seeds of the tables; by default 3 at the small scale, 5 at the paper's."""
    scale: Literal["small", "paper"] = "small"
    """'paper' has the papers' sizes and needs a GPU; 'small' fits two cores."""
    pretrained: str | None = None
    """Folder of a BERT checkpoint (config.json, model.safetensors, vocab.txt) for BERT, and for the
    Transformer's token embeddings."""
    out: str = "reproduced"
    """Folder of records, figures and report."""
    draw: bool = False
    """Only redraw tables and figures; the records say of which data sets, scale and checkpoint."""


def main(argv: Sequence[str], *, prog: str) -> None:
    """Measures and draws."""
    options = parse(Options(), argv, prog=prog, description=_DESCRIPTION, file_option="--data")
    from rich.console import Console

    from wave_jax.data.streams import user_path
    from wave_jax.experiments.command import list_items, reproduce
    from wave_jax.training.compilation import enable_compilation_cache

    if options.list:
        print("\n".join(list_items(options.name or "all")))
        return
    if not options.name:
        raise UserError("name an item, or 'all'; --list shows them")
    named = {argument.partition("=")[0] for argument in argv}
    for option in ("--data", "--scale", "--pretrained"):
        if options.draw and option in named:
            raise UserError(
                f"{option} has no effect with --draw, as the records in --out decide it: leave it "
                "out, or leave out --draw to measure"
            )
    enable_compilation_cache()
    report = reproduce(
        options.name,
        sources=options.data,
        scale=options.scale,
        seeds=options.seeds,
        pretrained=None if options.pretrained is None else str(user_path(options.pretrained)),
        out=user_path(options.out),
        draw_only=options.draw,
        console=Console(soft_wrap=True),
    )
    print(f"Report: {report}")
