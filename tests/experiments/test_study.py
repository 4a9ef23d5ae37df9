"""The study: its jobs, what it does to trained networks, and its report from records."""

import itertools
import json
import re
from dataclasses import replace

import numpy as np
import pytest

from tests.cli.conftest import write_texts
from tests.experiments.conftest import NEWS, about, tiny_plan
from wave_jax.data.dataset import load_dataset
from wave_jax.experiments import study
from wave_jax.experiments.command import ITEMS
from wave_jax.experiments.interventions import PHASES, examine, shuffled_words
from wave_jax.experiments.paper_report import write_report
from wave_jax.experiments.sources import prepare_source
from wave_jax.experiments.study_report import Difference, difference, expected_best, right
from wave_jax.models import build_model
from wave_jax.models.build import for_kind
from wave_jax.runs.job import train

SETS = (
    NEWS,
    replace(NEWS, name="AG News, shuffled", fingerprint="1" * 64),
    replace(NEWS, name="AG News, 500 texts", fingerprint="2" * 64),
)


def fabricated(plan, job):
    """Writes a record of a job: better with the rate 3e-3, and by its name."""
    rng = np.random.default_rng(list(job.key.encode()))
    good = 0.9 if job.config.get("train", {}).get("learning_rate") == 3e-3 else 0.7
    answers = rng.random(NEWS.test) < good
    measured = {"magnitude_share": 0.25, "mean_abs_d_magnitude": 1e-3, "mean_abs_d_phase": 1e-4}
    measured |= {f"coupling/{job.config.get('model', {}).get('op')}": 0.4}
    row = {"split": "probe", "gradient_norm/cls": 0.5}
    row |= {f"layer_0/{name}": value for name, value in measured.items()}
    result = {
        "validation_accuracy": good, "test_accuracy": float(answers.mean()), "steps": 10,
        "test_examples": NEWS.test, "right": np.packbits(answers).tobytes().hex(),
        "shuffled_accuracy": 0.5, "rows": [row | {"step": step} for step in (0, 20, 40)],
        "phases": dict(zip(PHASES, (0.8, 0.7, 0.6, 0.5), strict=True)),
    }  # fmt: skip
    plan.records.save(
        job.key, config=job.config, seed=job.seed, result=result, time={"total_seconds": 1.0}
    )


def listed(plan):
    return {job.key: job for jobs in study.study_jobs(plan).values() for job in jobs}


def test_runs_follow_their_trials_and_the_report_has_every_part(tmp_path):
    plan = replace(tiny_plan(tmp_path), datasets=SETS, seeds=2)
    plan.records.claim(about(*SETS, seeds=2))
    trials = listed(plan)
    tuned = [
        key for key in study.study_jobs(plan) if key[0] == "pooling" and study.TFIDF not in key
    ]
    assert all(key[-1] == "trials" for key in tuned)
    while missing := [job for job in listed(plan).values() if plan.find(job) is None]:
        for job in missing:
            fabricated(plan, job)
    every = listed(plan)
    chosen = [job for key, job in every.items() if key not in trials]
    assert {job.config["train"]["learning_rate"] for job in chosen} == {3e-3}
    assert {job.seed for job in chosen} == {0, 1}  # 0 on shuffled texts, without trials
    sets = (replace(NEWS, options=",test=dev.csv"), *SETS[1:])
    write_report(replace(plan, datasets=sets), [ITEMS["study"]], plan.found(every.values()))
    report = (tmp_path / "report.md").read_text()
    for title in (
        "norm pooling",
        "one path alone",
        "other phases",
        "use order",
        "Transformer layer",
    ):
        assert title in report, title
    for picture in ("pooling", "transformer", "backpropagation"):
        assert (tmp_path / "figures" / f"study-{picture}.png").is_file()
    assert "missing" not in report
    assert "study --data ag_news_csv,test=dev.csv ag_news_csv --scale" in report
    assert "| modulation, cls | spread of the coupling | 0.4 | 0.4 |" in report
    rows = "80.00 ± 0.00 | 70.00 ± 0.00 | 60.00 ± 0.00 | 50.00 ± 0.00"
    assert f"| cls | {rows} |" in report, "in the order of the table's head"
    assert re.search(r"\| TF-IDF \+ LR \| \d+\.\d\d \| [+-]\d+\.\d\d \[[^|]*\|", report)


@pytest.mark.parametrize("each", [*study.POOLINGS, *study.ORDERS], ids=lambda each: each.name)
def test_every_contender_is_a_network_that_can_be_built(each):
    for head in (each.config.model.head, "ffn"):
        model = for_kind(replace(each.config.model, head=head), study.RECIPE.model)
        sizes = {"vocab_size": 30, "num_classes": 2, "max_length": 64}
        assert build_model(model, **sizes, sentence_end_ids=(5,), sep_id=3).word_dropout == 0.1


def test_a_trained_network_is_examined(tmp_path):
    source = prepare_source(str(write_texts(tmp_path / "texts.csv", 200)), tmp_path / "work")
    learn = {"steps": 30, "learning_rate": 3e-2}
    config = study.changed(study.RECIPE, data={"source": source.folder}, train=learn)
    summary = train(config, workdir=tmp_path / "run")
    found = examine(config, False, tmp_path / "run")
    test = load_dataset(config.data).test
    record = {"result": {"test_examples": len(test), "right": found["right"]}}
    assert right([record]).mean() == pytest.approx(summary.test_accuracy)
    phases = found["phases"]
    assert phases["as they are"] == pytest.approx(summary.test_accuracy)
    assert tuple(phases) == PHASES
    shuffled = examine(config, True, tmp_path / "run")
    assert set(shuffled) == {"right", "shuffled_accuracy"}
    assert shuffled["right"] == found["right"]
    json.dumps([found, shuffled])


def test_shuffled_words_are_the_same_words():
    texts = ["one two three four five six seven", "a b"]
    found = shuffled_words(texts)
    assert found != texts
    assert [sorted(text.split()) for text in found] == [sorted(text.split()) for text in texts]
    assert found == shuffled_words(texts)


def test_a_difference_has_an_interval_of_texts_and_seeds():
    rng = np.random.default_rng(0)
    easy = rng.random(4_000) < 0.8
    first = np.stack([easy ^ (rng.random(4_000) < 0.02) for _ in range(5)])
    same = difference(first, first[::-1])
    assert same.mean == pytest.approx(0)
    assert str(same).endswith("=")
    worse = first & (rng.random(first.shape) < 0.95)
    found = difference(first, worse)
    assert found.low < 100 * (first.mean() - worse.mean()) < found.high
    assert str(found).endswith("] >")
    # McNemar's standard error of one pair of runs, from the texts that only one gets right
    one = difference(first[:1], worse[:1])
    only = np.sum(first[0] != worse[0])
    assert (one.high - one.low) / (2 * 1.96) == pytest.approx(100 * only**0.5 / 4_000, rel=0.1)
    assert str(Difference(-0.2, -0.3, -0.1)).endswith("] <=")
    assert str(Difference(0.2, -0.6, 1.0)).endswith("?")


def test_the_expected_best_is_the_mean_over_all_draws():
    values = np.array([0.3, 0.9, 0.5, 0.7])
    pairs = [max(pair) for pair in itertools.product(values, repeat=2)]
    assert expected_best(values, 2) == pytest.approx(np.mean(pairs))
    assert expected_best(values, 1) == pytest.approx(values.mean())
