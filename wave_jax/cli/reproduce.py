"""`python -m wave_jax reproduce`: the papers' tables and figures, measured and drawn."""

from __future__ import annotations

from collections.abc import Sequence

from wave_jax.cli.app import parse
from wave_jax.errors import UserError
from wave_jax.experiments import Options

_DESCRIPTION = """Measures a table or figure of the papers, or all of them, and writes a report.

Examples:
  python -m wave_jax reproduce --list
  python -m wave_jax reproduce all                                   embedded texts, small
  python -m wave_jax reproduce wn-table1 --data ag_news_csv
  python -m wave_jax reproduce wn-table2 --data ag_news_csv dbpedia_csv --scale paper --seeds 5
  python -m wave_jax reproduce all --out results/mine --draw         redraw tables and figures

Every measurement is a record in the folder --out. What is there is not measured again, so an
interrupted command resumes when it is repeated."""


def main(argv: Sequence[str], *, prog: str) -> None:
    """Measures and draws."""
    options = parse(Options(), argv, prog, _DESCRIPTION, "--data")
    from rich.console import Console

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
            why, advice = "as the records in --out decide it", "or leave out --draw to measure"
            raise UserError(f"{option} has no effect with --draw, {why}: leave it out, {advice}")
    enable_compilation_cache()
    print(f"Report: {reproduce(options, Console(soft_wrap=True))}")
