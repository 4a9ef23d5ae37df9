"""Statistics, tables, and the choice of learning rates."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np

from tests.experiments.conftest import TINY
from wave_jax.experiments import ablations
from wave_jax.experiments.independence import independence
from wave_jax.experiments.jobs import Checkpoint, Plan
from wave_jax.experiments.records import Records
from wave_jax.experiments.section import difference, percent
from wave_jax.experiments.sources import PreparedSource, prepare_source
from wave_jax.experiments.training_job import essentials, training
from wave_jax.experiments.tuning import best_rate, rates, tuned
from wave_jax.models.config import ModelConfig
from wave_jax.training.config import Config

DATA = PreparedSource("AG News", "ag_news_csv", "0" * 64, 96, 24, 40, 3, 0.4, True)


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


def test_spread_is_the_standard_deviation_over_seeds() -> None:
    assert percent([0.90, 0.92, 0.91]) == "91.00 ± 1.00"
    assert difference([0.90, 0.92], 71.68) == "+19.32"
    assert difference([0.9], None) == "–"


def test_the_rate_that_validates_best_is_used_for_all_seeds(tmp_path: Path) -> None:
    records = Records(tmp_path)
    plan = Plan(TINY, (DATA,), 2, records)
    assert best_rate(plan, "transformer") == 1e-3, "the papers' rate, until there is a better one"
    trials = tuned(plan, "transformer")[: len(rates(plan, "transformer"))]
    for score, trial in zip((0.5, 0.7), trials, strict=True):
        records.save(
            trial.key,
            config={},
            seed=0,
            result={"validation_accuracy": score},
            time={"total_seconds": 1},
        )
    assert best_rate(plan, "transformer") == 3e-3
    later = tuned(plan, "transformer")[2:]
    assert [run.setting.train.learning_rate for run in later] == [3e-3, 3e-3]
    assert [run.seed for run in later] == [0, 1]
    assert later[0].key == trials[1].key, "the trial is the first seed's run"


def test_the_papers_rate_is_the_trials_run_where_they_are_the_same() -> None:
    plan = Plan(TINY, (DATA,), 1, None)
    assert training(plan, "transformer", 0).key == training(plan, "transformer", 0, rate=1e-3).key


def test_a_checkpoint_is_fine_tuned_at_the_papers_rate() -> None:
    fresh, given = (
        training(Plan(TINY, (DATA,), 1, None, folder), "bert", 0)
        for folder in (None, Checkpoint("some/bert", "bert 0123"))
    )
    assert (fresh.setting.train.learning_rate, given.setting.train.learning_rate) == (3e-4, 2e-5)
    assert given.setting.model.pretrained == "some/bert"
    assert given.config()["model"]["pretrained"] == "bert 0123", "not where it lies"


def test_scopes_of_sentences_need_sentences() -> None:
    plain = dataclasses.replace(DATA, sentences=False)
    kept, fewer = (ablations.jobs(Plan(TINY, (data,), 1, None)) for data in (DATA, plain))
    gone = {run.key for run in kept} - {run.key for run in fewer}
    assert [run.setting.model.scopes for run in kept if run.key in gone] == [("sentence", "input")]


def test_a_records_name_tells_what_differs_from_the_defaults() -> None:
    """So an option that is added later, at its default, leaves the names as they are."""
    config = dataclasses.asdict(Config(seed=3, model=ModelConfig(dim=8)))
    expected = {"seed": 3, "model": {"dim": 8}, "watches": {"test": 10}}
    assert essentials(config | {"watches": {"test": 10}}) == expected
    read_back = json.loads(json.dumps(config))
    assert essentials(read_back) == {"seed": 3, "model": {"dim": 8}}, "lists are tuples"


def test_texts_are_cut_down_the_same_way_every_time(tmp_path: Path, texts: Path) -> None:
    first, second = (prepare_source(str(texts), TINY, tmp_path / name) for name in ("a", "b"))
    assert first.about() == second.about()
    assert first.train + first.validation == TINY.texts
    assert first.test == TINY.test_texts
    again = prepare_source(first.folder, TINY, tmp_path / "c")
    assert again.fingerprint == first.fingerprint, "the copy is the same source"
