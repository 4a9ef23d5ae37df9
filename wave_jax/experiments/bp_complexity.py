"""[BP] complexity: arithmetic over the length and width of the input, with fitted exponents."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from typing import Any

from wave_jax.experiments.cost_job import Costs
from wave_jax.experiments.costs import attention_cost, gradient_cost
from wave_jax.experiments.figures import finish, line, new_figure
from wave_jax.experiments.jobs import Job, Plan, found_one
from wave_jax.experiments.scale import CONTESTANTS, SCALES, contestant
from wave_jax.experiments.section import Picture, Section, Table
from wave_jax.models.config import ModelConfig

LENGTHS = tuple(2**k for k in range(4, 13))
WIDTHS = (64, 128, 256, 512)
_NARROW, _SHORT = 64, 64
_NAMES = ("interference", "modulation", "transformer", "attention", "fnet")
_LAST = 4  # of the largest sizes, that exponents are fitted to
_FORMULAE = {
    "interference": ("8 n d² + O(n d)", "O(n d²)"),
    "modulation": ("8 n d² + O(n d)", "O(n d²)"),
    "transformer": ("24 n d² + 4 n² d", "O(n d² + n² d)"),
    "attention": ("4 n² d", "O(n² d)"),
    "fnet": ("8 n d² + 4 n² d + O(n d log d)", "O(n d² + n² d)"),
}


def jobs(plan: Plan) -> list[Job]:
    """Returns one measurement for each model, over lengths and over widths."""
    del plan
    return [_job(name) for name in _NAMES]


def draw(plan: Plan) -> Section:
    """Returns formulae, exponents and curves."""
    rows, lengths_table = [], []
    figure, axes = new_figure(1, 2)
    for name in _NAMES:
        record = found_one(plan, _job(name))
        if record is None:
            continue
        by_length, by_width = record["result"]["by_length"], record["result"]["by_width"]
        label = "attention alone" if name == "attention" else CONTESTANTS[name]
        local = exponent(LENGTHS[-2:], by_length[-2:])
        rows.append(
            [label, *_FORMULAE[name], f"{exponent(LENGTHS[-_LAST:], by_length[-_LAST:]):.3f}",
             f"{local:.3f}", f"{exponent(WIDTHS[-3:], by_width[-3:]):.3f}"]
        )  # fmt: skip
        lengths_table.append([label, *(f"{flops / 1e6:,.2f}" for flops in by_length)])
        line(axes[0, 0], name, LENGTHS, [flops / 1e6 for flops in by_length], label)
        line(axes[0, 1], name, WIDTHS, [flops / 1e6 for flops in by_width], label)
    for panel, xlabel in ((0, "n (tokens)"), (1, "d (dimensions)")):
        axes[0, panel].set_xscale("log", base=2)
        axes[0, panel].set_yscale("log")
        finish(axes[0, panel], xlabel, "arithmetic (MFLOP)", legend=panel == 0)
    return Section(
        title="[BP] complexity",
        text=(
            f"Operations of one text's loss and gradients, from the compiled program: over n at "
            f"d = {_NARROW}, over d at n = {_SHORT}. The formulae count the forward pass of one "
            "layer with the feed-forward as wide as the embeddings (four times for the "
            "Transformer, twice for FNet); the gradients take about twice as much again (none for "
            "FNet's Fourier matrix). Exponents "
            f"in n are the slopes of log(operations) over log(n) for the {_LAST} largest n, and "
            "between the last two; an exponent just below 1 comes from the compiler, which counts "
            "a little less a token for the longest text. Where d is small, what is linear in d "
            "weighs on its exponent."
        ),
        tables=(
            Table(
                "Formulae and exponents",
                ("model", "operations", "order", f"exponent in n, {LENGTHS[-_LAST]:,} and up",
                 "exponent in n, last two", "exponent in d"),
                rows,
            ),
            Table("MFLOP by number of tokens", ("model", *map(str, LENGTHS)), lengths_table),
        ),
        pictures=(
            Picture("bp-complexity", "Operations over length and width, logarithmic", figure),
        ),
        deviations=(
            "FNet mixes by a product with each text's own Fourier matrix, so that padding changes "
            "nothing; with a fast transform of padded texts its n² would be n log n.",
        ),
    )  # fmt: skip


def exponent(sizes: Sequence[int], flops: Sequence[float]) -> float:
    """Returns the slope of the least-squares line through (log size, log flops).

    >>> round(exponent([1, 2, 4], [3, 12, 48]), 6)
    2.0
    """
    x, y = [math.log(s) for s in sizes], [math.log(f) for f in flops]
    mean_x, mean_y = sum(x) / len(x), sum(y) / len(y)
    above = sum((a - mean_x) * (b - mean_y) for a, b in zip(x, y, strict=True))
    return above / sum((a - mean_x) ** 2 for a in x)


def _job(name: str) -> Costs:
    options = {"model": name, "lengths": list(LENGTHS), "widths": list(WIDTHS)}
    return Costs(f"complexity-{name}", options, _count, 12)


def _count(options: dict[str, Any]) -> dict[str, Any]:
    name = options["model"]
    return {
        "by_length": [_flops(name, _NARROW, length) for length in options["lengths"]],
        "by_width": [_flops(name, width, _SHORT) for width in options["widths"]],
    }


def _flops(name: str, dim: int, length: int) -> float:
    if name == "attention":
        return attention_cost(dim, length).flops
    return gradient_cost(_config(name, dim), length).flops


def _config(name: str, dim: int) -> ModelConfig:
    """Returns a model without dropout; one head, so that attention's width is that of `d`."""
    return dataclasses.replace(
        contestant(name, SCALES["paper"]),
        dim=dim,
        heads=1 if name == "transformer" else None,
        dropout=0.0,
        word_dropout=0.0,
    )
