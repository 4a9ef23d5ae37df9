"""What a run learned of its embeddings: [BP] figures 1 and 4, and their independence."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.axes import Axes

from wave_jax.experiments.curves import gradient_jobs
from wave_jax.experiments.paper_report import STYLES, Section, finish, new_figure
from wave_jax.experiments.plan import LABELS, Job, Plan, Record

_SEQUENTIAL, _DIVERGING = "cividis", "PuOr"
_RINGS = (1.08, 1.22, 1.36, 1.5)  # where numbers stand, so that neighbours do not overlap


def wave_jobs(plan: Plan) -> dict[str, list[Job]]:
    return {"modulation": gradient_jobs(plan)["modulation"]}


def draw_figure1(plan: Plan, found: dict[str, list[Record]]) -> Section:
    text = _embeddings(found, "modulation")["text"]
    embedding, magnitude, phase = (np.array(text[k]) for k in ("embedding", "magnitude", "phase"))
    figure, axes = new_figure(1, 4, width=3.3, height=3.3)
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


def draw_figure4(plan: Plan, found: dict[str, list[Record]]) -> Section:
    text = _embeddings(found, "modulation")["text"]
    first, second = (
        np.array(text[name]["magnitude"]) * np.exp(1j * np.array(text[name]["phase"]))
        for name in ("variant_1", "variant_2")
    )
    waves = {
        "variant Z": first,
        "variant Z'": second,
        "interference Z + Z'": first + second,
        "modulation Z · Z'": first * second,
    }
    figure, axes = new_figure(1, 4, width=3.1, height=2.9)
    for panel, (name, wave) in zip(axes[0], waves.items(), strict=True):
        _draw_arrows(panel, wave[:, 0])
        panel.set_title(name, fontsize=9)
    figure.supxlabel("tokens: " + "   ".join(_numbered(text["tokens"])), fontsize=9)
    return Section(figures={"bp-figure4": figure})


def draw_independence(plan: Plan, found: dict[str, list[Record]]) -> Section:
    rows = []
    histogram, axes = new_figure(1, len(found), width=3.0, height=2.8)
    heat, panels = new_figure(2, len(found), width=2.5, height=2.5)
    for column, name in enumerate(found):
        row, title = _embeddings(found, name), LABELS[name]
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
                color=("#999999", STYLES[name]["color"])[place], linestyle=("--", "-")[place],
                label=f"{moment} training", linewidth=1.6,
            )  # fmt: skip
            image = panel.imshow(np.array(s["corner"]), cmap=_DIVERGING, vmin=-0.5, vmax=0.5)
            panel.set(xlabel="dimension", ylabel="dimension")
            panel.set_title(f"{title}\n{moment} training", fontsize=8)
        axes[0, column].set_xlim(-0.3, 0.3)
        finish(axes[0, column], "correlation", "share of pairs (%)", title=title, legend=False)
    handles, labels = axes[0, 0].get_legend_handles_labels()
    histogram.legend(handles, labels, loc="outside lower center", ncols=2, frameon=False)
    heat.colorbar(image, ax=panels, shrink=0.7, label="correlation")
    figures = {"bp-independence-histogram": histogram, "bp-independence-map": heat}
    return Section([("correlations", rows)], figures)


def _embeddings(found: dict[str, list[Record]], name: str) -> dict[str, Any]:
    rows = found[name][0]["result"]["rows"]
    return dict(next(row for row in rows if row["split"] == "embeddings"))


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
    reach = 1.62 * radius
    bottom = min(-0.15 * radius, 1.62 * float(waves.imag.min()))
    axes.set(xlim=(-reach, reach), ylim=(bottom, reach), aspect="equal")
    for draw in (axes.axhline, axes.axvline):
        draw(0, color="#999999", linewidth=0.6)
    finish(axes, "real part", "imaginary part", legend=False)
    axes.grid(False)


def _numbered(tokens: list[str]) -> list[str]:
    return [f"{number} {token}" for number, token in enumerate(tokens, start=1)]
