"""Probes while training: rows, curves, and that training itself is not touched."""

from __future__ import annotations

import dataclasses
import io
import json

import jax
import numpy as np
import pytest
from rich.console import Console

from tests.probe.networks import IDS, LABELS, MASK, network
from wave_jax.data.config import DataConfig
from wave_jax.models.config import ModelConfig
from wave_jax.probe import gradient_norms, magnitude_share, summarize, wave_gradients
from wave_jax.runs.checkpoints import restore_params
from wave_jax.runs.job import train
from wave_jax.runs.metrics_log import read_rows
from wave_jax.runs.plots import PROBE_FILE, draw_probe
from wave_jax.training.config import Config, ProbeConfig, TrainConfig


@pytest.fixture(scope="module")
def config(tmp_path_factory):
    folder = tmp_path_factory.mktemp("texts")
    rng = np.random.default_rng(0)
    with (folder / "texts.jsonl").open("w") as file:
        for index in range(120):
            words = rng.choice(["wave", "tide", "hill", "tree", "wind"], rng.integers(2, 9))
            file.write(json.dumps({"text": " ".join(words), "label": index % 3}) + "\n")
    return Config(
        data=DataConfig(source=str(folder / "texts.jsonl"), cache_dir=str(folder / "cache")),
        model=ModelConfig(dim=8, ffn_dim=8),
        train=TrainConfig(steps=6, batch_size=16),
        probe=ProbeConfig(every=2),
    )


def run(config, workdir):
    train(config, workdir=workdir, console=Console(file=io.StringIO()))
    return read_rows(workdir)


@pytest.fixture(scope="module")
def probed(config, tmp_path_factory):
    workdir = tmp_path_factory.mktemp("runs") / "probed"
    return workdir, run(config, workdir)


def test_rows_and_curves(probed):
    workdir, rows = probed
    found = [row for row in rows if row["split"] == "probe"]
    assert [row["step"] for row in found] == [2, 4, 6]
    names = {"gradient_norm/cls", "gradient_norm/input", "gradient_norm/classifier"}
    names |= {f"layer_0/{x}" for x in ("mean_abs_d_magnitude", "mean_abs_d_phase")}
    names |= {"layer_0/magnitude_share"}
    for row in found:
        assert names <= set(row)
        assert all(np.isfinite(row[name]) and row[name] > 0 for name in names)
    assert (workdir / PROBE_FILE).stat().st_size > 1000


def test_training_is_the_same_without(config, probed, tmp_path):
    run(dataclasses.replace(config, probe=ProbeConfig()), tmp_path / "plain")
    assert draw_probe(tmp_path / "plain") is None
    for one, other in zip(
        *(jax.tree.leaves(restore_params(w, "last")[0]) for w in (probed[0], tmp_path / "plain")),
        strict=True,
    ):
        np.testing.assert_array_equal(one, other)


def test_the_numbers_are_those_of_the_probe():
    model, params = network("sentences")
    found = summarize(model, params, IDS, LABELS, mask=MASK)
    norms = gradient_norms(model, params, IDS, LABELS, mask=MASK)
    for name in ("cls", "input", "classifier", "embed", "layer_1"):
        assert float(found[f"gradient_norm/{name}"]) == pytest.approx(float(norms[name]), rel=1e-4)
    gradients = wave_gradients(model, params, IDS, LABELS, mask=MASK)
    texts = len(IDS)  # the mean loss: each text's gradient is a third
    both = gradients.layers[0].variants
    share = magnitude_share(
        np.stack([v.magnitude_path for v in both]), np.stack([v.phase_path for v in both])
    )
    assert float(found["layer_0/magnitude_share"]) == pytest.approx(float(share), rel=1e-4)
    sizes = [np.abs(v.d_phase)[MASK] / texts for v in both]
    assert float(found["layer_0/mean_abs_d_phase"]) == pytest.approx(np.mean(sizes), rel=1e-4)
    # The first variant has a magnitude for each token's sentence, the second one for the text.
    rows = np.concatenate([np.abs(both[0].d_magnitude)[MASK], np.abs(both[1].d_magnitude)[:, 0]])
    found_mean = float(found["layer_0/mean_abs_d_magnitude"])
    assert found_mean == pytest.approx(np.mean(rows) / texts, rel=1e-4)
