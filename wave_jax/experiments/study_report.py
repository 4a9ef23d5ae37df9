"""What the study's records show: tables with paired intervals, and figures."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from statistics import median
from typing import Any, NamedTuple

import numpy as np
from matplotlib.figure import Figure

from wave_jax.experiments import study
from wave_jax.experiments.interventions import PHASES
from wave_jax.experiments.paper_report import LABELS, STYLE, Section, finish, spread, subplots
from wave_jax.experiments.plan import Found, Plan, Record

BOUND = 0.5  # points within which a difference does not matter
_RESAMPLES = 2_000
_WAVE, *_OTHERS = (each.name for each in study.POOLINGS)
_COLOURS = ("#004f7c", "#d55e00")
_MEASURES = {
    "magnitude_share": "magnitude path's share of the energy",
    "mean_abs_d_magnitude": "mean |dL/dG|",
    "mean_abs_d_phase": "mean |dL/dα|",
}
Key = tuple[Any, ...]
Rows = Iterator[list[str]]


class Difference(NamedTuple):
    """How far one is ahead of another, in points, with a 95 % interval."""

    mean: float
    low: float
    high: float

    def __str__(self) -> str:
        """Returns the numbers, and '>' or '<' 0, '=' within the bounds of equivalence, or '?'.

        >>> print(Difference(0.1, -0.2, 0.4), Difference(1.0, 0.7, 1.3))
        +0.10 [-0.20, +0.40] = +1.00 [+0.70, +1.30] >
        """
        sign = ">" if self.low > 0 else "<" if self.high < 0 else ""
        level = "=" if self.low >= -BOUND and self.high <= BOUND else ""
        return f"{self.mean:+.2f} [{self.low:+.2f}, {self.high:+.2f}] {sign + level or '?'}"


def right(records: Sequence[Record]) -> np.ndarray:
    """Returns which test texts each run got right, bool [runs, texts]."""
    count = records[0]["result"]["test_examples"]
    packed = [np.frombuffer(bytes.fromhex(r["result"]["right"]), np.uint8) for r in records]
    return np.unpackbits(np.array(packed), axis=1)[:, :count].astype(bool)


def difference(first: np.ndarray, second: np.ndarray) -> Difference:
    """Returns how far `first` is ahead of `second`, both bool [seeds, texts], of the same texts.

    The interval is that of a bootstrap which draws texts, the same for both, and seeds, anew for
    each; texts and seeds are both samples.
    """
    rng = np.random.default_rng(1)

    def resampled(right: np.ndarray) -> np.ndarray:
        accuracy = right @ _weights(right.shape[1])
        seeds = rng.integers(len(right), size=accuracy.shape)
        return np.take_along_axis(accuracy, seeds, axis=0).mean(axis=0)

    low, high = np.quantile(resampled(first) - resampled(second), (0.025, 0.975))
    return Difference(*(100 * float(x) for x in (first.mean() - second.mean(), low, high)))


@cache
def _weights(texts: int) -> np.ndarray:
    """Returns the share of each text in each resample, float32 [texts, resamples]."""
    rng = np.random.default_rng(0)
    drawn = rng.multinomial(texts, np.full(texts, 1 / texts), size=_RESAMPLES)
    return (drawn.T / texts).astype(np.float32)


def draw_study(plan: Plan, found: Found) -> Section:
    """Returns all parts that have records."""
    sets = list(dict.fromkeys(key[1] for key in found if key[0] in ("pooling", "paths", "order")))
    by_set = {"pooling": _poolings, "paths": _paths, "phases": _phases, "order": _orders}
    whole = {"transformer": _settings, "curves": _sizes, "backpropagation": _gradients}
    tables = [(f"{p}: {data}", rows(found, data)) for data in sets for p, rows in by_set.items()]
    tables += [(part, rows(found)) for part, rows in whole.items()]
    shown = [(name, [row for row in rows if set(row[1:]) - {"–"}]) for name, rows in tables]
    figures = {
        "study-pooling": _draw_poolings(found, sets),
        "study-transformer": _draw_budgets(found),
        "study-backpropagation": _draw_gradients(found),
    }
    return Section(
        [table for table in shown if table[1]],
        {name: figure for name, figure in figures.items() if figure is not None},
        {"bound": BOUND, "seeds": plan.seeds},
    )


def expected_best(values: np.ndarray, budget: int) -> float:
    """Returns the expected maximum of `budget` values drawn with replacement.

    (Dodge et al., arXiv 1909.03004, equation 7.)

    >>> expected_best(np.array([1.0, 2.0]), 1), expected_best(np.array([1.0, 2.0]), 2)
    (1.5, 1.75)
    """
    return float(np.sort(values) @ np.diff(np.linspace(0, 1, len(values) + 1) ** budget))


def _accuracy(records: Iterable[Record], key: str = "test_accuracy") -> str:
    return spread([100 * record["result"][key] for record in records])


def _cells(found: Found, key: Key, other: Key = ()) -> list[str]:
    """Returns a contender's accuracy and learning rate, and how far it is ahead of another."""
    if key not in found:
        return ["–", "–"]
    rate = found[key][0]["config"].get("train", {}).get("learning_rate")
    same = key == other or other not in found
    ahead = "–" if same else str(difference(right(found[key]), right(found[other])))
    return [_accuracy(found[key]) + (f", {rate:g}" if rate else ""), ahead]


def _poolings(found: Found, data: str) -> Rows:
    for name in (_WAVE, *_OTHERS, study.TFIDF):
        row = [name]
        for head in study.HEADS:
            key, wave = (("pooling", data, each, head, "runs") for each in (name, _WAVE))
            row += _cells(found, key, wave)
        yield row


def _paths(found: Found, data: str) -> Rows:
    for pooling in study.TEXT_POOLINGS:
        both, *_ = keys = [("paths", data, pooling, path, "runs") for path in study.PATHS]
        for key in keys:
            yield [f"{pooling}, {key[3]}", *_cells(found, key, both)]


def _phases(found: Found, data: str) -> Rows:
    for pooling in study.TEXT_POOLINGS:
        records = found.get(("paths", data, pooling, "both", "runs"), [])
        cases = [record["result"]["phases"] for record in records]
        values = [[100 * case[name] for case in cases] for name in PHASES] if cases else []
        yield [pooling, *map(spread, values)]


def _orders(found: Found, data: str) -> Rows:
    for each in study.ORDERS:
        plain, mixed = (
            ("order", data, each.name, texts, "runs") for texts in (data, f"{data}, shuffled")
        )
        tested = _accuracy(found[plain], "shuffled_accuracy") if plain in found else "–"
        learned, ahead = _cells(found, plain, mixed)
        yield [each.name, learned, _cells(found, mixed)[0], ahead, tested]


def _trials(found: Found) -> dict[Key, tuple[float, float]]:
    """Returns validation and test accuracy in percent by rate, warm-up, scale, frozen table."""
    return {
        key[1:]: (100 * result["validation_accuracy"], 100 * result["test_accuracy"])
        for key, records in found.items()
        if key[0] == "transformer"
        for result in [records[0]["result"]]
    }


def _settings(found: Found) -> Rows:
    trials = _trials(found)
    for axis in ("learning rate {0:g}", "warm-up steps {1}", "{3} table, initial scale {2}"):
        tests: dict[str, list[float]] = {}
        for (rate, warmup, scale, table), (_, test) in trials.items():
            setting = axis.format(rate, warmup, scale or "1/8", table.replace("rows", "learned"))
            tests.setdefault(setting, []).append(test)
        for setting, values in tests.items():
            yield [setting, str(len(values)), *(f"{f(values):.2f}" for f in (min, median, max))]


def _sizes(found: Found) -> Rows:
    for size in study.SIZES:
        keys = (("curves", size, each.name, "runs") for each in study.CURVES)
        yield [f"{size:,}", *(_cells(found, key)[0] for key in keys)]


def _probes(found: Found) -> dict[Key, dict[str, np.ndarray]]:
    """Returns the mean over runs of each field of the probes' rows, [probes], by item."""
    fields = {}
    for key, records in found.items():
        if key[0] == "backpropagation":
            runs = [record["result"]["rows"] for record in records]
            numbers = [name for name, value in runs[0][0].items() if not isinstance(value, str)]
            fields[key[1:]] = {
                name: np.mean([[row[name] for row in rows] for rows in runs], axis=0)
                for name in numbers
            }
    return fields


def _gradients(found: Found) -> Rows:
    for (op, pooling), probes in _probes(found).items():
        shown = {f"layer_0/{name}": label for name, label in _MEASURES.items()}
        shown |= {f"layer_0/coupling/{op}": "spread of the coupling"}
        shown |= {n: f"gradient norm at {n[14:]}" for n in probes if n.startswith("gradient_norm/")}
        for name, label in shown.items():
            last = probes[name][-max(1, len(probes[name]) // 10) :].mean()
            yield [f"{op}, {pooling}", label, f"{probes[name][0]:.3g}", f"{last:.3g}"]


def _draw_poolings(found: Found, sets: list[str]) -> Figure | None:
    """Draws how far each pooling is ahead of the wave, with its interval, for each set."""
    sets = [data for data in sets if ("pooling", data, _WAVE, study.HEADS[0], "runs") in found]
    if not sets:
        return None
    figure, axes = subplots(1, len(sets), width=3.2, height=3.4)
    for panel, data in zip(axes[0], sets, strict=True):
        panel.axvspan(-BOUND, BOUND, color="#dddddd", linewidth=0)
        panel.axvline(0, color="#666666", linewidth=0.8)
        for head, shift, colour in zip(study.HEADS, (-0.15, 0.15), _COLOURS, strict=True):
            keys = [("pooling", data, name, head, "runs") for name in (_WAVE, *_OTHERS)]
            for place, key in enumerate(keys[1:]):
                if key in found and keys[0] in found:
                    mean, low, high = difference(right(found[key]), right(found[keys[0]]))
                    error = [[mean - low], [high - mean]]
                    panel.errorbar(mean, place + shift, xerr=error, fmt="o", ms=4, color=colour)
        panel.set_yticks(range(len(_OTHERS)), _OTHERS if panel is axes[0, 0] else [])
        panel.set_ylim(len(_OTHERS) - 0.5, -0.5)
        panel.set_title(data, fontsize=10)
        finish(panel, "points ahead of modulation", "", legend=False)
    for head, colour in zip(study.HEADS, _COLOURS, strict=True):
        axes[0, 0].plot([], [], "o-", color=colour, label=f"head: {head}")
    _legend_above(figure, axes)
    return figure


def _draw_budgets(found: Found) -> Figure | None:
    scores = np.array([validation for validation, _ in _trials(found).values()])
    if not len(scores):
        return None
    figure, axes = subplots(width=5.2)
    budgets = range(1, len(scores) + 1)
    best = [expected_best(scores, count) for count in budgets]
    axes[0, 0].plot(budgets, best, color=_COLOURS[0], label=LABELS["transformer"])
    axes[0, 0].axhline(71.68, color="#8a8a8a", linestyle=":", label="the paper's test accuracy")
    axes[0, 0].set_xscale("log", base=2)
    finish(axes[0, 0], "settings tried", "expected best validation accuracy (%)")
    return figure


def _draw_gradients(found: Found) -> Figure | None:
    if not (probes := _probes(found)):
        return None
    figure, axes = subplots(1, len(_MEASURES), width=3.6, height=3.0)
    for (op, pooling), values in probes.items():
        style = {"color": STYLE[op]["color"], "linestyle": "-" if pooling == "cls" else ":"}
        for panel, (name, label) in zip(axes[0], _MEASURES.items(), strict=True):
            text = f"{LABELS[op]}, {pooling}"
            panel.plot(values["step"], values[f"layer_0/{name}"], label=text, **style)
            finish(panel, "step", label, legend=False)
            panel.set_yscale("linear" if name == "magnitude_share" else "log")
    _legend_above(figure, axes)
    return figure


def _legend_above(figure: Figure, axes: Any) -> None:
    handles, labels = axes[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper center", ncols=2, frameon=False, fontsize=8)
