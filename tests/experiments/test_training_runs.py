"""Runs at the papers' settings, their names, and the choice of learning rates."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np

from tests.experiments.conftest import tiny_plan
from wave_jax.experiments.plan import PAPER_RUN, Checkpoint
from wave_jax.experiments.training_runs import (
    best_runs,
    essentials,
    independence,
    rate_trials,
    training,
)


def test_the_rate_that_validates_best_is_used_for_all_seeds(tmp_path: Path) -> None:
    plan = tiny_plan(tmp_path, seeds=2)
    assert best_runs(plan, "transformer")[0] == 1e-3, "the papers' rate, until a better is known"
    trials = rate_trials(plan, "transformer")
    for score, trial in zip((0.5, 0.7), trials.values(), strict=True):
        result, time = {"validation_accuracy": score}, {"total_seconds": 1}
        plan.records.save(trial.key, config={}, seed=0, result=result, time=time)
    rate, runs = best_runs(plan, "transformer")
    assert rate == 3e-3
    assert [run.config["train"]["learning_rate"] for run in runs] == [3e-3, 3e-3]
    assert [run.seed for run in runs] == [0, 1]
    assert runs[0].key == trials[3e-3].key, "the trial is the first seed's run"


def test_rates_of_a_mean_are_larger(tmp_path: Path) -> None:
    assert list(rate_trials(tiny_plan(tmp_path), "mean")) == [1e-2, 3e-2]


def test_the_papers_rate_is_the_trials_run_where_they_are_the_same(tmp_path: Path) -> None:
    plan = tiny_plan(tmp_path)
    assert rate_trials(plan, "transformer")[1e-3].key == training(plan, "transformer", 0).key


def test_a_checkpoint_is_fine_tuned_at_the_papers_rate(tmp_path: Path) -> None:
    fresh, given = (
        training(tiny_plan(tmp_path, pretrained=checkpoint), "bert", 0).config
        for checkpoint in (None, Checkpoint("some/bert", "bert 0123"))
    )
    assert (fresh["train"]["learning_rate"], given["train"]["learning_rate"]) == (3e-4, 2e-5)
    assert given["model"]["pretrained"] == "bert 0123", "not where it is"
    assert "some/bert" not in json.dumps(given)


def test_a_records_name_tells_what_differs_from_the_papers_run() -> None:
    """So an option that is added later, at its default, leaves the names as they are."""
    model = dataclasses.replace(PAPER_RUN.model, dim=8)
    config = dataclasses.asdict(dataclasses.replace(PAPER_RUN, seed=3, model=model))
    read_back = json.loads(json.dumps(config))
    expected = {"seed": 3, "model": {"dim": 8}, "watches": {"test": 10}}
    assert essentials(read_back | {"watches": {"test": 10}}) == expected


def test_independence_of_gaussians_and_of_copies() -> None:
    rng = np.random.default_rng(0)
    free = independence(rng.standard_normal((4000, 20)))
    # 190 pairs, each |r| with a standard deviation of 0.0095
    assert abs(free["mean_abs"] - free["expected_mean_abs"]) < 3 * 0.0095 / np.sqrt(190)
    assert free["effective_rank"] > 19.8
    assert sum(free["histogram"]) == 20 * 19
    base = rng.standard_normal((4000, 1))
    same = independence(np.hstack([base, -2 * base, 3 * base + 1]))
    assert same["max_abs"] == same["mean_abs"] == 1
    assert same["effective_rank"] == 1
