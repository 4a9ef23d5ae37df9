"""Probes while training leave it unchanged; a diverging training is warned of once."""

from __future__ import annotations

import dataclasses
import io
import json
import re

import jax
import numpy as np
import pytest
from rich.console import Console

from wave_jax.data.config import DataConfig
from wave_jax.models.config import ModelConfig
from wave_jax.runs.checkpoints import restore_params
from wave_jax.runs.job import train
from wave_jax.runs.metrics_log import read_rows
from wave_jax.training.callbacks import DivergenceGuard
from wave_jax.training.config import Config, ProbeConfig, TrainConfig
from wave_jax.training.metrics import MetricSums

SAID = re.compile(r"has been above its start \((.*?)\) from step (\d+) to step (\d+)")


@pytest.fixture(scope="module")
def config(tmp_path_factory):
    """A training of 320 steps that learns which of three words a text has."""
    folder = tmp_path_factory.mktemp("texts")
    rng = np.random.default_rng(0)
    with (folder / "texts.jsonl").open("w") as file:
        for label in rng.integers(0, 3, 200).tolist():
            words = [f"word{label}", *(f"other{index}" for index in rng.integers(0, 9, 3))]
            file.write(json.dumps({"text": " ".join(words), "label": f"kind{label}"}) + "\n")
    return Config(
        data=DataConfig(source=str(folder / "texts.jsonl"), cache_dir=str(folder / "cache")),
        model=ModelConfig(dim=16, ffn_dim=16, dropout=0.0, word_dropout=0.0),
        train=TrainConfig(
            steps=320, batch_size=16, log_every=20, eval_every=320, checkpoint_every=320
        ),
    )


class PowerCut(Exception):
    """What ends the first start of a training."""


class Cut:
    """A callback that ends the first training it meets."""

    every, done = 150, False

    def __call__(self, step, params):
        if not self.done:
            self.done = True
            raise PowerCut


def shown_by(config, workdir, callback=None, **changes):
    """Returns what a training with other settings shows, and its training rows."""
    config = dataclasses.replace(config, train=dataclasses.replace(config.train, **changes))
    console = Console(file=io.StringIO(), width=500)
    callbacks = [lambda task: callback] if callback else []
    if callback:
        with pytest.raises(PowerCut):
            train(config, workdir=workdir, console=console, callbacks=callbacks)
    train(config, workdir=workdir, console=console, callbacks=callbacks)
    return console.file.getvalue(), [r for r in read_rows(workdir) if r["split"] == "train"]


def test_a_loss_that_climbs_is_warned_of_once(config, tmp_path, monkeypatch):
    """Cut off at step 150 it resumes from step 140; the rows before still count."""
    means = MetricSums.means
    first = []

    def climbing(sums):
        first.append(None)
        return means(sums) | {"loss": 2.0 if len(first) > 1 else 1.4}

    monkeypatch.setattr(MetricSums, "means", climbing)
    shown, rows = shown_by(config, tmp_path / "run", callback=Cut(), checkpoint_every=140)
    assert "Resuming from the checkpoint of step 140" in shown
    assert [row["loss"] for row in rows] == [1.4] + 15 * [2.0]
    assert SAID.findall(shown) == [("1.4000", "40", "240")]


def test_a_loss_that_falls_is_not_warned_of(config, tmp_path):
    shown, rows = shown_by(config, tmp_path / "run", learning_rate=3e-3)
    assert rows[-1]["loss"] < 0.5 * rows[0]["loss"]
    assert "above its start" not in shown


def guarded(losses, every=50, seen=0):
    """Returns the warnings about rows `every` steps apart, the first `seen` of an earlier start."""
    rows = [
        {"split": "train", "step": every * (1 + index), "loss": loss}
        for index, loss in enumerate(losses)
    ]
    found: list[str] = []
    guard = DivergenceGuard(found.append, seen=rows[:seen])
    for row in rows[seen:]:
        guard.write({"split": "validation", "step": row["step"], "loss": 9.0})  # does not count
        guard.write(row)
    return [tuple(map(int, SAID.search(line).groups()[1:])) for line in found]


def test_which_rows_make_it_warn():
    assert guarded([1.0] + 4 * [2.0]) == []  # four rows are too few
    assert guarded([1.0] + 5 * [2.0]) == [(100, 300)]
    assert guarded([1.0] + 20 * [2.0], every=10) == []  # 190 steps are too few
    assert guarded([1.0] + 21 * [2.0], every=10) == [(20, 220)]
    assert guarded([1.0] + 20 * [2.0] + [0.5] + 20 * [2.0], every=10) == []  # below: starts anew
    assert guarded([1.0, *4 * [2.0], 0.5, *30 * [2.0]]) == [(350, 550)]
    assert guarded([1.0] + 30 * [1.0]) == []  # as at the start is not above it


def test_resumed_it_warns_once_in_all():
    assert guarded([1.0] + 10 * [2.0], seen=3) == [(100, 300)]
    assert guarded([1.0] + 10 * [2.0], seen=8) == []  # the earlier start has said it


@pytest.fixture(scope="module")
def small(tmp_path_factory):
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


def rows_of(config, workdir):
    train(config, workdir=workdir, console=Console(file=io.StringIO()))
    return read_rows(workdir)


@pytest.fixture(scope="module")
def probed(small, tmp_path_factory):
    workdir = tmp_path_factory.mktemp("runs") / "probed"
    return workdir, rows_of(small, workdir)


def test_rows(probed):
    _, rows = probed
    found = [row for row in rows if row["split"] == "probe"]
    assert [row["step"] for row in found] == [2, 4, 6]
    names = {"gradient_norm/cls", "gradient_norm/input", "gradient_norm/classifier"}
    names |= {f"layer_0/{x}" for x in ("mean_abs_d_magnitude", "mean_abs_d_phase")}
    names |= {"layer_0/magnitude_share", "layer_0/coupling/modulation"}
    for row in found:
        assert names <= set(row)
        assert all(np.isfinite(row[name]) and row[name] > 0 for name in names)


def test_training_is_the_same_without(small, probed, tmp_path):
    rows_of(dataclasses.replace(small, probe=ProbeConfig()), tmp_path / "plain")
    for one, other in zip(
        *(jax.tree.leaves(restore_params(w, "last")[0]) for w in (probed[0], tmp_path / "plain")),
        strict=True,
    ):
        np.testing.assert_array_equal(one, other)
