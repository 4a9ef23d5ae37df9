"""A probed text as tables in a terminal."""

from __future__ import annotations

from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from wave_jax.probe.result import TextProbe, probe_record

_BAR = 8  # characters of the longest bar


def print_probe(probe: TextProbe, console: Console | None = None) -> None:
    """Prints the answer, each token's gradients and attributions, and each layer's two paths."""
    out = console or Console()
    record = probe_record(probe)
    out.print(Text(record["text"], style="bold"))
    out.print(_answer(record))
    out.print(_tokens(record))
    out.print(_layers(record))
    out.print(Text(_completeness(record)))


def _answer(record: dict[str, Any]) -> Table:
    table = Table(show_header=False, box=None, pad_edge=False)
    ranked = sorted(record["probabilities"].items(), key=lambda pair: -pair[1])[:4]
    table.add_row("answer", Text("   ".join(f"{name} {share:.3f}" for name, share in ranked)))
    table.add_row(
        "gradient of", Text(f"the {record['of']} of {record['label']}: {record['value']:.5g}")
    )
    if record["tokens_cut"]:
        table.add_row("cut off", f"{record['tokens_cut']} tokens beyond the network's length")
    return table


def _tokens(record: dict[str, Any]) -> Table:
    title = "Each token: gradient at its embedding, its two paths, attributions"
    table = Table("token", title=title, title_justify="left", box=SIMPLE_HEAD)
    table.add_column("gradient", justify="right")
    table.add_column("", no_wrap=True, min_width=_BAR)
    count = len(record["layers"])
    for index in range(count):
        suffix = f" {index}" if count > 1 else ""
        table.add_column(f"magnitude{suffix}", justify="right")
        table.add_column(f"phase{suffix}", justify="right")
    table.add_column("x input", justify="right")
    table.add_column("integrated", justify="right")
    top = max(record["gradient"]) or 1.0
    for i, token in enumerate(record["tokens"]):
        gradient = record["gradient"][i]
        paths = [layer[name][i] for layer in record["layers"] for name in _PATHS]
        table.add_row(
            Text(token),
            f"{gradient:.3g}",
            Text("█" * round(_BAR * gradient / top), style="blue"),
            *(f"{x:.3g}" for x in paths),
            f"{record['gradient_times_input'][i]:+.3g}",
            f"{record['integrated_gradients']['tokens'][i]:+.3g}",
        )
    return table


_PATHS = ("magnitude_path", "phase_path")


def _layers(record: dict[str, Any]) -> Table:
    title = "Each layer, over both variants"
    table = Table("layer", title=title, title_justify="left", box=SIMPLE_HEAD)
    for name in ("share of magnitude", "mean |dL/dG|", "mean |dL/dalpha|"):
        table.add_column(name, justify="right")
    for index, layer in enumerate(record["layers"]):
        table.add_row(
            str(index),
            f"{layer['magnitude_share']:.3f}",
            f"{layer['mean_abs_d_magnitude']:.3g}",
            f"{layer['mean_abs_d_phase']:.3g}",
        )
    return table


def _completeness(record: dict[str, Any]) -> str:
    found = record["integrated_gradients"]
    start, end = found["baseline_value"], found["value"]
    about = f"from {start:.4g} (all words [UNK]) to {end:.4g}"
    points = f"{found['evaluations']} points of the path"
    if found["converged"]:
        return f"Integrated gradients add up {about}, to within {found['gap']:.2%} ({points})."
    gap = "unbounded" if found["gap"] is None else f"{found['gap']:.2%}"
    return f"Integrated gradients do NOT add up {about}: the gap is {gap} after {points}."
