"""What the study's records show: tables with paired intervals, and figures."""

from __future__ import annotations

import statistics
from collections.abc import Iterable
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from wave_jax.experiments.paired import BOUND, difference, right
from wave_jax.experiments.paper_report import LABELS, STYLE, Section, finish, spread, subplots
from wave_jax.experiments.plan import Found, Plan, Record
from wave_jax.experiments.study import CURVES, HEADS, PATHS, POOLINGS, SIZES, TEXT_POOLINGS

_WAVE = POOLINGS[0].name
_COLOURS = ("#004f7c", "#d55e00", "#009e73", "#cc79a7")
_TRIALS_SHOWN = (1, 2, 4, 8, 16, 32, 48)
_MEASURES = {
    "magnitude_share": "magnitude path's share of the energy",
    "mean_abs_d_magnitude": "mean |dL/dG|",
    "mean_abs_d_phase": "mean |dL/dα|",
}


def draw_study(plan: Plan, found: Found) -> Section:
    """Returns all parts that have records."""
    sets = list(dict.fromkeys(key[1] for key in found if key[0] in ("pooling", "paths", "order")))
    tables: list[tuple[str, list[list[str]]]] = []
    for data in sets:
        tables += [
            (f"pooling: {data}", list(_pooling_rows(found, data))),
            (f"paths: {data}", list(_path_rows(found, data))),
            (f"phases: {data}", list(_phase_rows(found, data))),
            (f"order: {data}", list(_order_rows(found, data))),
        ]
    tables += [
        ("transformer", list(_transformer_rows(found))),
        ("curves", list(_curve_rows(found))),
        ("backpropagation", list(_backpropagation_rows(found))),
    ]
    figures = {
        "study-pooling": _forest(found, sets),
        "study-transformer": _budgets(found),
        "study-curves": _curves(found),
        "study-backpropagation": _backpropagation(found),
    }
    values = {"bound": BOUND, "seeds": plan.seeds}
    drawn = {name: figure for name, figure in figures.items() if figure is not None}
    return Section([table for table in tables if table[1]], drawn, values)


def _accuracy(records: Iterable[Record], key: str = "test_accuracy") -> str:
    return spread([100 * record["result"][key] for record in records])


def _against(found: Found, key: tuple[Any, ...], other: tuple[Any, ...]) -> str:
    if key == other or other not in found:
        return "–"
    return str(difference(right(found[key]), right(found[other])))


def _pooling_rows(found: Found, data: str) -> Iterable[list[str]]:
    for each in POOLINGS:
        row = [each.name]
        for head in HEADS:
            key = ("pooling", data, each.name, head, "runs")
            if key in found:
                rate = found[key][0]["config"]["train"]["learning_rate"]
                other = ("pooling", data, _WAVE, head, "runs")
                row += [_accuracy(found[key]), f"{rate:g}", _against(found, key, other)]
            else:
                row += ["–"] * 3
        if any(cell != "–" for cell in row[1:]):
            yield row


def _path_rows(found: Found, data: str) -> Iterable[list[str]]:
    for pooling in TEXT_POOLINGS:
        for path in PATHS:
            key = ("paths", data, pooling, path, "runs")
            if key in found:
                whole = ("paths", data, pooling, "both", "runs")
                yield [f"{pooling}, {path}", _accuracy(found[key]), _against(found, key, whole)]


def _phase_rows(found: Found, data: str) -> Iterable[list[str]]:
    for pooling in TEXT_POOLINGS:
        records = found.get(("paths", data, pooling, "both", "runs"), [])
        if records:
            names = records[0]["result"]["phases"]
            values = {name: [100 * r["result"]["phases"][name] for r in records] for name in names}
            yield [pooling, *(spread(values[name]) for name in names)]


def _order_rows(found: Found, data: str) -> Iterable[list[str]]:
    names = dict.fromkeys(key[2] for key in found if key[:2] == ("order", data))
    for name in names:
        plain = ("order", data, name, data, "runs")
        mixed = ("order", data, name, f"{data}, shuffled", "runs")
        if plain in found and mixed in found:
            yield [
                name, _accuracy(found[plain]), _accuracy(found[mixed]),
                _against(found, plain, mixed), _accuracy(found[plain], "shuffled_accuracy"),
            ]  # fmt: skip


def _transformer_trials(found: Found) -> dict[tuple[Any, ...], tuple[float, float]]:
    """Returns validation and test accuracy in percent by rate, warm-up, scale, frozen table."""
    names = ("validation_accuracy", "test_accuracy")
    return {
        key[1:]: (*(100 * records[0]["result"][name] for name in names),)  # type: ignore[misc]
        for key, records in found.items()
        if key[0] == "transformer"
    }


def _transformer_rows(found: Found) -> Iterable[list[str]]:
    trials = _transformer_trials(found)
    axes = ("learning rate", "warm-up steps", "initial scale", "frozen table")
    for i, axis in enumerate(axes):
        for value in dict.fromkeys(key[i] for key in trials):
            tests = [test for key, (_, test) in trials.items() if key[i] == value]
            shown = "1/8" if value is None else str(value)
            numbers = (min(tests), statistics.median(tests), max(tests))
            yield [f"{axis} {shown}", str(len(tests)), *(f"{x:.2f}" for x in numbers)]


def expected_best(values: np.ndarray, budget: int) -> float:
    """Returns the expected maximum of `budget` values drawn without replacement.

    >>> expected_best(np.array([1.0, 2.0, 3.0]), 3), expected_best(np.array([1.0, 3.0]), 1)
    (3.0, 2.0)
    """
    ordered, count = np.sort(values), len(values)
    # P(the i-th smallest is the largest drawn): i values below it, from which budget - 1 are drawn
    chances = np.zeros(count)
    chances[-1] = budget / count
    for i in range(count - 2, budget - 2, -1):
        chances[i] = chances[i + 1] * (i + 2 - budget) / (i + 1)
    return float(ordered @ chances)


def _budgets(found: Found) -> Figure | None:
    trials = np.array(list(_transformer_trials(found).values()))
    if not len(trials):
        return None
    figure, axes = subplots(width=5.2)
    budgets = [n for n in _TRIALS_SHOWN if n <= len(trials)]
    best = [expected_best(trials[:, 0], n) for n in budgets]
    axes[0, 0].plot(budgets, best, color=_COLOURS[0], marker="o", label="Transformer, one layer")
    axes[0, 0].axhline(71.68, color="#8a8a8a", linestyle=":", label="the paper's test accuracy")
    axes[0, 0].set_xscale("log", base=2)
    axes[0, 0].set_xticks(budgets, budgets)
    finish(axes[0, 0], "settings tried", "expected best validation accuracy (%)")
    return figure


def _curve_rows(found: Found) -> Iterable[list[str]]:
    for size in SIZES:
        cells = [
            _accuracy(found[key]) if key in found else "–"
            for key in (("curves", size, each.name, "runs") for each in CURVES)
        ]
        if any(cell != "–" for cell in cells):
            yield [f"{size:,}", *cells]


def _curves(found: Found) -> Figure | None:
    figure, axes = subplots(width=5.2)
    for each, colour, marker in zip(CURVES, _COLOURS, "os^D", strict=True):
        points = {
            size: [100 * record["result"]["test_accuracy"] for record in found[key]]
            for size in SIZES
            if (key := ("curves", size, each.name, "runs")) in found
        }
        if not points:
            return None
        means = [statistics.fmean(values) for values in points.values()]
        axes[0, 0].plot(list(points), means, color=colour, marker=marker, label=each.name)
    axes[0, 0].set_xscale("log")
    finish(axes[0, 0], "texts to learn from", "test accuracy (%)")
    return figure


def _probes(records: Iterable[Record]) -> dict[str, np.ndarray]:
    """Returns each field of the probes' rows, [runs, probes]."""
    runs = [record["result"]["rows"] for record in records]
    return {name: np.array([[row[name] for row in rows] for rows in runs]) for name in runs[0][0]}


def _backpropagation_rows(found: Found) -> Iterable[list[str]]:
    for key, records in found.items():
        if key[0] != "backpropagation":
            continue
        probes = _probes(records)
        norms = [name for name in probes if name.startswith("gradient_norm/")]
        names = [f"layer_0/{name}" for name in _MEASURES] + norms
        for name in names:
            values = probes[name].mean(axis=0)
            last = values[-max(1, len(values) // 10) :].mean()
            label = _MEASURES.get(name.partition("/")[2], f"gradient norm at {name[14:]}")
            yield [f"{key[1]}, {key[2]}", label, f"{values[0]:.3g}", f"{last:.3g}"]


def _backpropagation(found: Found) -> Figure | None:
    runs = {key: records for key, records in found.items() if key[0] == "backpropagation"}
    if not runs:
        return None
    figure, axes = subplots(1, len(_MEASURES), width=3.6, height=3.0)
    for (_, op, pooling), records in runs.items():
        probes, style = _probes(records), STYLE[op]
        for panel, (name, label) in zip(axes[0], _MEASURES.items(), strict=True):
            line = "-" if pooling == "cls" else ":"
            values = probes[f"layer_0/{name}"].mean(axis=0)
            text = f"{LABELS[op]}, {pooling}"
            panel.plot(probes["step"][0], values, color=style["color"], linestyle=line, label=text)
            finish(panel, "step", label, legend=False)
            panel.set_yscale("linear" if name == "magnitude_share" else "log")
    handles, labels = axes[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper center", ncols=2, frameon=False, fontsize=8)
    return figure


def _forest(found: Found, sets: list[str]) -> Figure | None:
    """Draws how far each pooling is ahead of the wave, with its interval, for each set."""
    others = [each.name for each in POOLINGS[1:]]
    sets = [data for data in sets if ("pooling", data, _WAVE, HEADS[0], "runs") in found]
    if not sets:
        return None
    figure, axes = subplots(1, len(sets), width=3.2, height=3.4)
    for panel, data in zip(axes[0], sets, strict=True):
        panel.axvspan(-BOUND, BOUND, color="#dddddd", linewidth=0)
        panel.axvline(0, color="#666666", linewidth=0.8)
        for head, shift, colour in zip(HEADS, (-0.15, 0.15), _COLOURS[:2], strict=True):
            wave = found.get(("pooling", data, _WAVE, head, "runs"))
            for place, name in enumerate(others):
                records = found.get(("pooling", data, name, head, "runs"))
                if not records or not wave:
                    continue
                mean, low, high = difference(right(records), right(wave))
                panel.plot([low, high], [place + shift] * 2, color=colour, linewidth=1.4)
                panel.plot(mean, place + shift, "o", color=colour, markersize=4)
        panel.set_yticks(range(len(others)), others if panel is axes[0, 0] else [])
        panel.invert_yaxis()
        panel.set_title(data, fontsize=10)
        finish(panel, "points ahead of modulation", "", legend=False)
    lines = [axes[0, 0].plot([], [], "o-", color=c, label=f"head: {h}")[0]
             for h, c in zip(HEADS, _COLOURS, strict=False)]  # fmt: skip
    figure.legend(handles=lines, loc="outside upper center", ncols=2, frameon=False, fontsize=8)
    return figure
