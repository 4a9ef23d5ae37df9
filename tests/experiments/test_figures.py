"""What is drawn of training runs, from fabricated records, and what is recorded for it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.figure import Figure
from rich.console import Console

from tests.experiments.conftest import tiny_plan
from wave_jax.experiments import figures
from wave_jax.experiments.sources import prepare_source
from wave_jax.experiments.training_runs import independence, training

TOKENS = ["[CLS]", "blue", "waves", "roll", "[SEP]"]
U = np.array([[0.3, 0.1], [-0.4, 0.2], [0.0, 0.3], [0.5, -0.1], [0.1, 0.2]])


def record(*rows: dict[str, Any]) -> dict[str, Any]:
    return {"result": {"rows": rows}}


@pytest.fixture
def waves() -> dict[str, Any]:
    row = {"split": "waves", "tokens": TOKENS, "variant": U.tolist()}
    return {"modulation": [record(row)]}


def texts_of(figure: Figure) -> str:
    """Returns all that is written in a figure, drawn without a display."""
    figure.draw_without_rendering()
    texts = [text.get_text() for axes in figure.axes for text in (*axes.texts, axes.title)]
    legends = [legend for axes in figure.axes if (legend := axes.get_legend())]
    texts += [t.get_text() for legend in (*legends, *figure.legends) for t in legend.get_texts()]
    return "\n".join(texts)


def test_figure_1_shows_components_magnitudes_and_phases_on_fitted_scales(
    tmp_path: Path, waves: Any
) -> None:
    figure = figures.draw_figure1(tiny_plan(tmp_path), waves).figures["bp-figure1"]
    components, magnitudes, phases = figure.axes[:3]
    bars = [bar.get_height() for bar in magnitudes.patches]
    np.testing.assert_allclose(bars, np.linalg.norm(U, axis=0), rtol=1e-5)
    shares = U / np.linalg.norm(U, axis=0)
    np.testing.assert_allclose(phases.images[0].get_array(), np.arccos(shares), rtol=1e-5)
    reach = np.abs(np.arccos(shares) - np.pi / 2).max()
    fitted = (np.pi / 2 - reach, np.pi / 2 + reach)
    assert phases.images[0].get_clim() == pytest.approx(fitted), "as wide as the phases reach"
    assert components.images[0].get_clim() == pytest.approx((-0.5, 0.5))


def test_figure_4_constructs_waves_from_the_smallest_to_the_largest_component(
    tmp_path: Path, waves: Any
) -> None:
    section = figures.draw_figure4(tiny_plan(tmp_path), waves)
    radius = np.linalg.norm(U[:, 0])
    assert section.values["radius"] == pytest.approx(radius)
    panels = section.figures["bp-figure4"].axes
    titles = [panel.get_title().splitlines()[0] for panel in panels]
    assert (titles[0], titles[-1], len(titles)) == ("blue", "roll", 4)
    for panel, own in ((panels[0], -0.4), (panels[-1], 0.5)):
        (arrow,) = panel.texts
        tip = arrow.xy
        assert np.hypot(*tip) == pytest.approx(radius), "the magnitude is the radius"
        assert tip[0] == pytest.approx(own), "the real part is the token's own"
        assert f"α = {np.arccos(own / radius):.2f}" in panel.get_title()


def test_a_text_shorter_than_what_figure_4_shows(tmp_path: Path) -> None:
    row = {"split": "waves", "tokens": TOKENS[:2], "variant": U[:2].tolist()}
    found = {"modulation": [record(row)]}
    section = figures.draw_figure4(tiny_plan(tmp_path), found)
    assert len(section.figures["bp-figure4"].axes) == 2


def test_figures_1_and_4_are_of_a_network_that_reads_every_token(tmp_path: Path) -> None:
    plan = tiny_plan(tmp_path)
    ((run,),) = figures.wave_jobs(plan).values()
    assert run.config["model"]["pooling"] == "mean"
    assert run.key not in {job.key for jobs in figures.gradient_jobs(plan).values() for job in jobs}


def gradient_rows(**fields: float) -> list[dict[str, Any]]:
    return [{"split": "gradients", "step": s, "cls": 2.0, **fields} for s in (10, 20)]


def test_gradients_are_drawn_relative_to_the_size_of_the_embeddings(tmp_path: Path) -> None:
    plan = tiny_plan(tmp_path)
    found = {name: [record(*gradient_rows(cls_size=0.25))] for name in ("modulation", "bert")}
    section = figures.draw_gradients("cls", plan, found)
    ((_, rows),) = section.tables
    assert [row[:2] for row in rows] == [
        ["Wave, modulation", "2.00e+00"], ["BERT, 1 layers, from scratch", "2.00e+00"],
        ["Wave, modulation, relative", "5.00e-01"],
        ["BERT, 1 layers, from scratch, relative", "5.00e-01"],
    ]  # fmt: skip
    figure = section.figures["bp-figure3"]
    assert len(figure.axes) == 2
    assert "BERT, 1 layers, from scratch" in texts_of(figure)


def test_gradients_of_records_without_sizes_are_drawn_as_they_are(tmp_path: Path) -> None:
    section = figures.draw_gradients(
        "cls", tiny_plan(tmp_path), {"bert": [record(*gradient_rows())]}
    )
    assert len(section.figures["bp-figure3"].axes) == 1
    assert len(section.tables[0][1]) == 1


def test_the_sizes_of_the_embeddings_are_recorded_with_their_gradients(
    tmp_path: Path, texts: Path
) -> None:
    source = prepare_source(str(texts), tmp_path / "work", 120, 40)
    plan = tiny_plan(tmp_path / "out", source)
    changes, callbacks = {"table_scale": 2.0}, {"gradients": 2}
    run = training(plan, "mean", 0, changes=changes, callbacks=callbacks, steps=2)
    result, _ = run.measure(tmp_path / "work", Console(quiet=True))
    (row,) = (row for row in result["rows"] if row["split"] == "gradients")
    # tokens of 8 numbers each, with a standard deviation of 2; few are distinct
    assert row["input_size"] == pytest.approx(2 * 8**0.5, rel=0.3)
    assert row["cls_size"] == pytest.approx(2 * 8**0.5, rel=0.8), "one token"
    assert {"cls", "input", "classifier"} <= row.keys()


def test_lines_of_accuracies_to_reach_are_labelled(tmp_path: Path) -> None:
    rows = [{"split": "test", "step": s, "accuracy": s / 25} for s in (10, 20)]
    section = figures.draw_figure2(tiny_plan(tmp_path), {"modulation": [record(*rows)]})
    text = texts_of(section.figures["bp-figure2"])
    assert all(f"{goal}%" in text for goal in (80, 85, 90))


def test_independence_is_drawn_in_fine_bins_and_old_records_in_theirs(tmp_path: Path) -> None:
    rows = independence(np.random.default_rng(0).standard_normal((2_000, 20)))
    assert len(rows["histogram"]) == 400, "0.005 each"
    for statistics in (rows, rows | {"histogram": [0] * 20 + [380] + [0] * 20}):
        row = {"split": "embeddings", "moved": 0.1, "before": statistics, "after": statistics}
        section = figures.draw_independence(tiny_plan(tmp_path), {"bert": [record(row)]})
        (panel,) = section.figures["bp-independence-histogram"].axes
        assert panel.get_xlim()[1] == pytest.approx(1.05 * rows["max_abs"]), "fitted"
        assert len(panel.patches[0].get_data().values) == len(statistics["histogram"])
