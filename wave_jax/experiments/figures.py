"""Figures drawn from training runs: curves ([WN] figure 7, [BP] figures 2, 3 and 5, and the
classifier's gradient), and what a run learned of its embeddings ([BP] figures 1 and 4)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes

from wave_jax.experiments.paper_report import LABELS, STYLE, Section, finish, line, spread, subplots
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
_SEQUENTIAL, _DIVERGING = "cividis", "PuOr"
_RINGS = (1.08, 1.22, 1.36, 1.5)  # where numbers stand, so that neighbours do not overlap


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
            epochs = [row["epoch"] for row in rows]
            for panel, key, factor in ((0, "accuracy", 100), (1, "loss", 1)):
                values = [factor * row[key] for row in rows]
                line(axes[panel, column], name, epochs, values, LABELS[name])
        best, last = max(rows, key=lambda row: row["accuracy"]), rows[-1]
        table.append([
            LABELS[name], f"{100 * best['accuracy']:.2f}", f"{best['epoch']:g}",
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
        line(axes[0, 0], name, steps, 100 * curves.mean(axis=0), LABELS[name])
        bounds = 100 * curves.min(axis=0), 100 * curves.max(axis=0)
        axes[0, 0].fill_between(steps, *bounds, color=STYLE[name]["color"], alpha=0.15, lw=0)
        goals = [_reached(steps, curves, goal) for goal in _GOALS]
        table.append([LABELS[name], *goals, spread((100 * curves[:, -1]).tolist())])
    for goal in _GOALS:
        axes[0, 0].axhline(100 * goal, color="#999999", linewidth=0.7)
    finish(axes[0, 0], "batches of 64 texts", "test accuracy (%)")
    values = {"every": _EVERY, "runs": min(plan.seeds, _QUICK_SEEDS)}
    return Section([("convergence", table)], {"bp-figure2": figure}, values)


def gradient_jobs(plan: Plan) -> Jobs:
    """Returns the runs that gradients and embeddings are recorded of: one a model, with seed 0."""
    names, steps = (*_MODELS, "bert"), plan.scale.gradient_steps
    callbacks = {"gradients": _EVERY, "embeddings": steps}
    return _jobs(plan, names, steps=steps, batch_size=_BATCH, callbacks=callbacks)


def draw_gradients(key: str, plan: Plan, found: Found) -> Section:
    """Returns the norms of one gradient over training, that of 'cls', 'input' or 'classifier'."""
    item, what = _GRADIENTS[key]
    figure, axes = subplots(width=6.6)
    table = []
    for name, (record,) in found.items():
        rows = _rows(record, "gradients")
        norms = [row[key] for row in rows]
        line(axes[0, 0], name, [row["step"] for row in rows], norms, LABELS[name])
        tenth, ordered = max(1, len(norms) // 10), sorted(norms)
        table.append([
            LABELS[name], f"{sum(norms[:tenth]) / tenth:.2e}", f"{ordered[len(norms) // 2]:.2e}",
            f"{sum(norms[-tenth:]) / tenth:.2e}", f"{ordered[-1] / max(ordered[0], 1e-30):,.0f}",
        ])  # fmt: skip
    axes[0, 0].set_yscale("log")
    ylabel = f"L2 norm of the gradient\n({what})"
    finish(axes[0, 0], f"batches of {_BATCH} texts", ylabel, legend=False)
    figure.legend(loc="outside upper center", ncols=4, frameon=False, fontsize=8)
    values = {"what": what, "batch": _BATCH, "every": _EVERY}
    return Section([("gradients", table)], {item: figure}, values)


def wave_jobs(plan: Plan) -> Jobs:
    return {"modulation": gradient_jobs(plan)["modulation"]}


def draw_figure1(plan: Plan, found: Found) -> Section:
    text = _rows(found["modulation"][0], "embeddings")[0]["text"]
    embedding, magnitude, phase = (np.array(text[k]) for k in ("embedding", "magnitude", "phase"))
    figure, axes = subplots(1, 4, width=3.3, height=3.3)
    tokens, most = _numbered(text["tokens"]), np.abs(embedding).max()
    maps = (
        (embedding, _DIVERGING, -most, most, "embedding w", tokens),
        (magnitude, _SEQUENTIAL, 0, magnitude.max(), "magnitude G = |w|₂ over tokens", ["text"]),
        (phase, _SEQUENTIAL, 0, np.pi, "phase α = arccos(w/G), radians", tokens),
    )
    for panel, (values, colors, low, high, name, rows) in zip(axes[0], maps, strict=False):
        image = panel.imshow(values, cmap=colors, vmin=low, vmax=high, aspect="auto")
        panel.set_yticks(range(len(rows)), rows, fontsize=7)
        panel.set(xlabel="dimension", ylabel="token" if len(rows) > 1 else "")
        panel.set_title(name, fontsize=9)
        figure.colorbar(image, ax=panel, shrink=0.7)
    _draw_arrows(axes[0, 3], magnitude[0, 0] * np.exp(1j * phase[:, 0]))
    axes[0, 3].set_title("dimension 0: waves G exp(iα)", fontsize=9)
    return Section(figures={"bp-figure1": figure})


def draw_figure4(plan: Plan, found: Found) -> Section:
    text = _rows(found["modulation"][0], "embeddings")[0]["text"]
    variants = (text["variant_1"], text["variant_2"])
    first, second = (np.array(v["magnitude"]) * np.exp(1j * np.array(v["phase"])) for v in variants)
    waves = {
        "variant Z": first,
        "variant Z'": second,
        "interference Z + Z'": first + second,
        "modulation Z · Z'": first * second,
    }
    figure, axes = subplots(1, 4, width=3.1, height=2.9)
    for panel, (name, wave) in zip(axes[0], waves.items(), strict=True):
        _draw_arrows(panel, wave[:, 0])
        panel.set_title(name, fontsize=9)
    figure.supxlabel("tokens: " + "   ".join(_numbered(text["tokens"])), fontsize=9)
    return Section(figures={"bp-figure4": figure})


def draw_independence(plan: Plan, found: Found) -> Section:
    rows = []
    histogram, axes = subplots(1, len(found), width=3.0, height=2.8)
    heat, panels = subplots(2, len(found), width=2.5, height=2.5)
    for column, (name, (record,)) in enumerate(found.items()):
        row, title = _rows(record, "embeddings")[0], LABELS[name]
        for place, moment in enumerate(("before", "after")):
            s, panel = row[moment], panels[place, column]
            rows.append([
                title, moment, f"{s['mean_abs']:.5f}", f"{s['expected_mean_abs']:.5f}",
                f"{s['max_abs']:.4f}", f"{s['effective_rank']:.2f}", f"{s['dim']}",
                f"{s['tokens']:,}", f"{100 * row['moved']:.1f}" if moment == "after" else "–",
            ])  # fmt: skip
            counts = np.array(s["histogram"], float)
            axes[0, column].stairs(
                100 * counts / counts.sum(), np.linspace(-1, 1, len(counts) + 1),
                color=("#999999", STYLE[name]["color"])[place], linestyle=("--", "-")[place],
                label=f"{moment} training", linewidth=1.6,
            )  # fmt: skip
            image = panel.imshow(np.array(s["corner"]), cmap=_DIVERGING, vmin=-0.5, vmax=0.5)
            panel.set(xlabel="dimension", ylabel="dimension")
            panel.set_title(f"{title}\n{moment} training", fontsize=8)
        axes[0, column].set_xlim(-0.3, 0.3)
        axes[0, column].set_title(title, fontsize=10)
        finish(axes[0, column], "correlation", "share of pairs (%)", legend=False)
    handles, labels = axes[0, 0].get_legend_handles_labels()
    histogram.legend(handles, labels, loc="outside lower center", ncols=2, frameon=False)
    heat.colorbar(image, ax=panels, shrink=0.7, label="correlation")
    figures = {"bp-independence-histogram": histogram, "bp-independence-map": heat}
    return Section([("correlations", rows)], figures)


def _rows(record: Record, split: str) -> list[dict[str, Any]]:
    return [row for row in record["result"]["rows"] if row["split"] == split]


def _reached(steps: Sequence[int], curves: np.ndarray, goal: float) -> str:
    """Returns the first steps with an accuracy of `goal`, and how many of the runs reach it."""
    reached = [steps[above.argmax()] for above in curves >= goal if above.any()]
    if not reached:
        return "not reached"
    some = f"{len(reached)} of {len(curves)}: " if len(reached) < len(curves) else ""
    return some + spread(reached, 0)


def _draw_arrows(axes: Axes, waves: np.ndarray) -> None:
    """Draws complex numbers [n] as arrows, numbered from 1 in the order of the tokens."""
    radius = max(float(np.abs(waves).max()), 1e-12)
    shades = np.linspace(0.0, 0.7, len(waves))
    places = np.argsort(np.argsort(np.angle(waves)))
    for number, (wave, shade, place) in enumerate(zip(waves, shades, places, strict=True), start=1):
        color = (0.0, 0.31 + 0.5 * shade, 0.49 + 0.4 * shade)
        arrow = {"arrowstyle": "->", "color": color, "shrinkA": 0, "shrinkB": 0}
        axes.annotate("", (wave.real, wave.imag), (0, 0), arrowprops=arrow)
        at = _RINGS[place % len(_RINGS)] * wave
        axes.text(at.real, at.imag, str(number), fontsize=7, ha="center", va="center")
    reach, bottom = 1.62 * radius, min(-0.15 * radius, 1.62 * float(waves.imag.min()))
    axes.set(xlim=(-reach, reach), ylim=(bottom, reach), aspect="equal")
    axes.axhline(0, color="#999999", linewidth=0.6)
    axes.axvline(0, color="#999999", linewidth=0.6)
    finish(axes, "real part", "imaginary part", legend=False)
    axes.grid(False)


def _numbered(tokens: list[str]) -> list[str]:
    return [f"{number} {token}" for number, token in enumerate(tokens, start=1)]
