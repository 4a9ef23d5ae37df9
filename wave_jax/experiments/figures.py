"""Figures drawn from training runs: curves ([WN] figure 7, [BP] figures 2, 3 and 5, and the
classifier's gradient), and what a run learned of its embeddings ([BP] figures 1 and 4)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np

from wave_jax import ops
from wave_jax.experiments.paper_report import STYLE, Section, finish, label, line, spread, subplots
from wave_jax.experiments.plan import Found, Jobs, Plan, Record
from wave_jax.experiments.training_runs import training

_MODELS = ("interference", "modulation", "transformer")
_EVERY = 10  # batches
_GOALS = (0.80, 0.85, 0.90)
_QUICK_SEEDS = 2  # every run is tested 50 times on the way
_BATCH = 32  # for gradients
_GRADIENTS = {
    "cls": ("bp-figure3", "the [CLS] embeddings"),
    "input": ("bp-figure5", "all token embeddings of the input"),
    "classifier": ("bp-classifier", "the classifier's parameters"),
}
_DIVERGING = "PuOr"
_DRAWN = 4  # tokens of [BP] figure 4


def _jobs(plan: Plan, names: Sequence[str] = _MODELS, seeds: int = 1, **options: Any) -> Jobs:
    """Returns runs at a constant rate; all but waves start from the plan's checkpoint."""
    jobs: Jobs = {}
    for name in names:
        options |= {"schedule": "constant", "use_checkpoint": name in ("transformer", "bert")}
        jobs[name] = [training(plan, name, seed, **options) for seed in range(seeds)]
    return jobs


def figure7_jobs(plan: Plan) -> Jobs:
    return _jobs(plan, epochs=plan.scale.long_epochs)


def draw_figure7(plan: Plan, found: Found) -> Section:
    figure, axes = subplots(2, 2)
    table = []
    for name, (record,) in found.items():
        for column, split in enumerate(("train", "validation")):
            rows = _rows(record, split)
            for place, (key, factor) in enumerate((("accuracy", 100), ("loss", 1))):
                points = [row["epoch"] for row in rows], [factor * row[key] for row in rows]
                line(axes[place, column], name, *points, label(plan, name))
        best, last = max(rows, key=lambda row: row["accuracy"]), rows[-1]
        table.append([
            label(plan, name), f"{100 * best['accuracy']:.2f}", f"{best['epoch']:g}",
            f"{100 * last['accuracy']:.2f}", f"{last['loss']:.3f}",
            f"{100 * record['result']['test_accuracy']:.2f}",
        ])  # fmt: skip
    for column, split in enumerate(("training", "validation")):
        finish(axes[0, column], "epoch", f"{split} accuracy (%)", legend=column == 0)
        finish(axes[1, column], "epoch", f"{split} loss (nats)", legend=False)
    return Section([("epochs", table)], {"wn-figure7": figure})


def figure2_jobs(plan: Plan) -> Jobs:
    seeds, callbacks = min(plan.seeds, _QUICK_SEEDS), {"test": _EVERY}
    return _jobs(plan, seeds=seeds, steps=plan.scale.quick_steps, callbacks=callbacks)


def draw_figure2(plan: Plan, found: Found) -> Section:
    figure, axes = subplots(width=5.6)
    table = []
    for name, records in found.items():
        curves = np.array([[row["accuracy"] for row in _rows(each, "test")] for each in records])
        steps = [row["step"] for row in _rows(records[0], "test")]
        line(axes[0, 0], name, steps, 100 * curves.mean(axis=0), label(plan, name))
        bounds = 100 * curves.min(axis=0), 100 * curves.max(axis=0)
        axes[0, 0].fill_between(steps, *bounds, color=STYLE[name]["color"], alpha=0.15, lw=0)
        goals = [_reached(steps, curves, goal) for goal in _GOALS]
        table.append([label(plan, name), *goals, spread((100 * curves[:, -1]).tolist())])
    for goal in _GOALS:
        axes[0, 0].axhline(100 * goal, color="#999999", linewidth=0.7)
        at = {"transform": axes[0, 0].get_yaxis_transform(), "va": "center", "fontsize": 8}
        axes[0, 0].text(1.01, 100 * goal, f"{goal:.0%}", **at)
    finish(axes[0, 0], "batches of 64 texts", "test accuracy (%)")
    return Section([("convergence", table)], {"bp-figure2": figure}, {"every": _EVERY})


def gradient_jobs(plan: Plan) -> Jobs:
    """Returns the runs that gradients and embeddings are recorded of: one a model, with seed 0."""
    names, steps = (*_MODELS, "bert"), plan.scale.gradient_steps
    callbacks = {"gradients": _EVERY, "embeddings": steps}
    return _jobs(plan, names, steps=steps, batch_size=_BATCH, callbacks=callbacks)


def draw_gradients(key: str, plan: Plan, found: Found) -> Section:
    """Returns the norms of one gradient over training, that of 'cls', 'input' or 'classifier'.

    Those of embeddings are drawn relative to the embeddings' size too, where it is recorded.
    """
    item, what = _GRADIENTS[key]
    curves = {name: _rows(record, "gradients") for name, (record,) in found.items()}
    factors = {"L2 norm of the gradient": ""}
    if all(f"{key}_size" in row for rows in curves.values() for row in rows):
        factors["norm times\nthe embeddings' length"] = f"{key}_size"
    figure, axes = subplots(1, len(factors), width=6.6 / len(factors) ** 0.5)
    table = []
    for panel, (ylabel, factor) in zip(axes[0], factors.items(), strict=True):
        for name, rows in curves.items():
            norms = [row[key] * row.get(factor, 1) for row in rows]
            line(panel, name, [row["step"] for row in rows], norms, label(plan, name))
            tenth, ordered = max(1, len(norms) // 10), sorted(norms)
            numbers = sum(norms[:tenth]) / tenth, np.median(norms), sum(norms[-tenth:]) / tenth
            table.append([
                label(plan, name) + (", relative" if factor else ""),
                *(f"{x:.2e}" for x in numbers), f"{ordered[-1] / max(ordered[0], 1e-30):,.0f}",
            ])  # fmt: skip
        panel.set_yscale("log")
        finish(panel, f"batches of {_BATCH} texts", ylabel, legend=False)
    names = axes[0, 0].get_legend_handles_labels()
    figure.legend(*names, loc="outside upper center", ncols=2, frameon=False, fontsize=8)
    values = {"what": what, "batch": _BATCH, "every": _EVERY}
    return Section([("gradients", table)], {item: figure}, values)


def wave_jobs(plan: Plan) -> Jobs:
    """Returns a run whose classifier reads every token's wave, by mean pooling."""
    options = {"steps": plan.scale.gradient_steps, "batch_size": _BATCH}
    callbacks, changes = {"waves": plan.scale.gradient_steps}, {"pooling": "mean"}
    return _jobs(plan, ("modulation",), callbacks=callbacks, changes=changes, **options)


def draw_figure1(plan: Plan, found: Found) -> Section:
    tokens, u, magnitude, phase = _waves(found)
    figure, axes = subplots(1, 3, width=3.9)
    for panel, values, middle, colors, name in (
        (axes[0, 0], u, 0, _DIVERGING, "a token's components u"),
        (axes[0, 2], phase, np.pi / 2, f"{_DIVERGING}_r", "phase α = arccos(u/G), radians"),
    ):
        reach = np.abs(values - middle).max()
        limits = {"vmin": middle - reach, "vmax": middle + reach}
        image = panel.imshow(values, cmap=colors, aspect="auto", **limits)
        names = tokens if panel is axes[0, 0] else []
        panel.set_yticks(range(len(names)), names)
        panel.set_title(name, fontsize=10)
        panel.set_xlabel("dimension")
        figure.colorbar(image, ax=panel, shrink=0.8)
    axes[0, 1].bar(range(u.shape[1]), magnitude[0], color=STYLE["modulation"]["color"])
    axes[0, 1].set_title("magnitude G = |u|₂ over the tokens", fontsize=10)
    finish(axes[0, 1], "dimension", "", legend=False)
    return Section(figures={"bp-figure1": figure})


def draw_figure4(plan: Plan, found: Found) -> Section:
    tokens, u, magnitude, phase = _waves(found)
    places = np.linspace(0, len(tokens) - 1, min(_DRAWN, len(tokens))).round().astype(int)
    figure, axes = subplots(1, len(places), width=2.7, height=2.2)
    for panel, token in zip(axes[0], np.argsort(u[:, 0])[places], strict=True):
        radius, own, angle = magnitude[0, 0], u[token, 0], phase[token, 0]
        rest, color = radius * np.sin(angle), STYLE["modulation"]["color"]
        for size, end, style in ((radius, np.pi, ":"), (radius / 4, angle, "-")):
            arc = size * np.exp(1j * np.linspace(0, end, 90))
            panel.plot(arc.real, arc.imag, style, color="#777777", linewidth=1)
        arrow = {"arrowstyle": "->", "color": color, "shrinkA": 0, "shrinkB": 0, "lw": 1.8}
        panel.annotate("", (own, rest), (0, 0), arrowprops=arrow)
        panel.plot([0, own], [0, 0], color=STYLE["interference"]["color"], linewidth=3)
        panel.plot([own, own], [0, rest], "--", color=color, linewidth=1)
        panel.set_title(f"{tokens[token]}\nu = {own:+.3f}, α = {angle:.2f}", fontsize=9)
        panel.set(aspect="equal", xlim=(-1.1 * radius, 1.1 * radius))
        ylabel = "imaginary part" if panel is axes[0, 0] else ""
        finish(panel, "real part u", ylabel, legend=False)
    return Section(figures={"bp-figure4": figure}, values={"radius": magnitude[0, 0]})


def draw_independence(plan: Plan, found: Found) -> Section:
    rows, widest = [], 0.0
    figure, axes = subplots(1, len(found), width=3.0, height=2.8)
    for panel, (name, (record,)) in zip(axes[0], found.items(), strict=True):
        row, title = _rows(record, "embeddings")[0], label(plan, name)
        drawn = {"before": ("#999999", "--"), "after": (STYLE[name]["color"], "-")}
        for moment, (color, style) in drawn.items():
            s, moved = row[moment], f"{100 * row['moved']:.1f}" if moment == "after" else "–"
            rows.append([
                title, moment, f"{s['mean_abs']:.5f}", f"{s['expected_mean_abs']:.5f}",
                f"{s['max_abs']:.4f}", f"{s['effective_rank']:.2f}", f"{s['dim']}",
                f"{s['tokens']:,}", moved,
            ])  # fmt: skip
            counts, widest = np.array(s["histogram"], float), max(widest, s["max_abs"])
            edges, text = np.linspace(-1, 1, len(counts) + 1), f"{moment} training"
            shares = 100 * counts / counts.sum()
            panel.stairs(shares, edges, color=color, linestyle=style, label=text, linewidth=1.6)
        panel.set_title(title, fontsize=10)
        finish(panel, "correlation", "share of pairs (%)", legend=False)
    for panel in axes[0]:
        panel.set_xlim(-1.05 * widest, 1.05 * widest)
    names = axes[0, 0].get_legend_handles_labels()
    figure.legend(*names, loc="outside lower center", ncols=2, frameon=False)
    return Section([("correlations", rows)], {"bp-independence-histogram": figure})


def _rows(record: Record, split: str) -> list[dict[str, Any]]:
    return [row for row in record["result"]["rows"] if row["split"] == split]


def _reached(steps: Sequence[int], curves: np.ndarray, goal: float) -> str:
    """Returns the first steps with an accuracy of `goal`, and how many of the runs reach it."""
    reached = [steps[above.argmax()] for above in curves >= goal if above.any()]
    if not reached:
        return "not reached"
    some = f"{len(reached)} of {len(curves)}: " if len(reached) < len(curves) else ""
    return some + spread(reached, 0)


def _waves(found: Found) -> tuple[list[str], np.ndarray, np.ndarray, np.ndarray]:
    """Returns a text's tokens, their first variant [n, d], its magnitude [1, d] and phase."""
    row = _rows(found["modulation"][0], "waves")[0]
    u = jnp.array(row["variant"])
    return row["tokens"], *map(np.asarray, (u, ops.magnitude(u), ops.phase(u)))
