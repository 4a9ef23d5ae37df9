"""The study: is it a wave? What is measured to tell waves from the pooling of norms.

Waves and poolings share head, table and tokens; rates are tried on the validation texts with seed
0, and the smallest one within a standard error of the best is run with every seed. All runs of a
set are tested on the same texts, and records keep which of them were right, so that contenders are
compared text by text.
"""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Sequence
from dataclasses import replace
from functools import cache, partial
from pathlib import Path
from typing import Any, NamedTuple

from wave_jax.data.config import DataConfig
from wave_jax.data.dataset import load_dataset
from wave_jax.errors import UserError
from wave_jax.experiments.costs import cost_job
from wave_jax.experiments.interventions import examine, packed, shuffled_dataset
from wave_jax.experiments.plan import PAPER_RUN, Job, Jobs, Plan
from wave_jax.experiments.sources import PreparedSource, prepare_source
from wave_jax.experiments.training_runs import run_job
from wave_jax.models.build import for_kind
from wave_jax.runs.baseline import tfidf_right
from wave_jax.training.config import Config

TFIDF = "TF-IDF + LR"
RATES = (1e-3, 3e-3, 1e-2, 3e-2)
SMALL_RATES = (3e-4, 1e-3, 3e-3, 1e-2)  # of networks with a feed-forward
HEADS = ("linear", "ffn")
PATHS = ("both", "magnitude", "phase")
TEXT_POOLINGS = ("cls", "mean")
SIZES = (500, 2_000, 8_000, 27_000)  # of learning curves
SCALES_TRIED, WARMUPS = (None, 0.03, 1.0), (0, 100)  # of the Transformer
ORDER_SKIPS = ("IMDB",)  # whose texts do not fit the encoders' tokens
_MADE = r", (shuffled|\d+ texts)$"  # names of what `prepare_study` makes
_SHORT = 64  # tokens, where order is at stake


class Contender(NamedTuple):
    """A network and how it learns, but for its source, rate and seed."""

    name: str
    config: Config
    rates: tuple[float, ...] = RATES


def changed(config: Config, **sections: dict[str, Any]) -> Config:
    """Returns the configuration with fields of its sections changed."""
    found = {name: replace(getattr(config, name), **fields) for name, fields in sections.items()}
    return replace(config, **found)


# The default recipe, but for the linear path, which would hide what the rest can do, and for the
# refit, which would learn from the texts that rates are chosen by.
RECIPE = changed(
    PAPER_RUN,
    data={"max_length": 256, "ngrams": 2, "stems": (4,)},
    model={
        "variants": "table", "head": "linear", "dim": 16, "table_scale": 0.03, "dropout": 0.3,
        "word_dropout": 0.1,
    },
    train={"epochs": None, "b1": 0.0, "weight_decay": 0.0, "clip_norm": 0.0},
)  # fmt: skip
_WORDS = changed(RECIPE, data={"ngrams": 1, "stems": (), "max_length": _SHORT})
_DENSE = changed(_WORDS, model={"variants": "dense", "dim": 64})
_ENCODER = changed(
    _DENSE,
    model={"head": "ffn", "table_scale": None, "dropout": 0.1},
    train={"b1": 0.9, "weight_decay": 0.01, "clip_norm": 1.0},
)

POOLINGS = tuple(
    Contender(name, changed(RECIPE, model=fields))
    for name, fields in {
        "modulation": {},
        "interference": {"op": "interference"},
        "r r'": {"kind": "pool", "pool": "norm-product"},
        "r + r'": {"kind": "pool", "pool": "norm-sum"},
        "r": {"kind": "pool", "pool": "norm"},
        "mean": {"kind": "pool", "pool": "mean"},
        "mean of |u|": {"kind": "pool", "pool": "mean-abs"},
        "maximum": {"kind": "pool", "pool": "max"},
        "learned power": {"kind": "pool", "pool": "power"},
    }.items()
)
ORDERS = (
    Contender("words (the default network)", _WORDS),
    Contender("pairs of words", changed(RECIPE, data={"max_length": _SHORT})),
    Contender("sinusoidal positions", changed(_DENSE, model={"position": "sinusoidal"})),
    Contender("learned positions", changed(_DENSE, model={"position": "learned"})),
    Contender("scopes of sentences", changed(_WORDS, model={"scopes": ("sentence", "input")})),
    Contender("two layers", changed(_DENSE, model={"head": "ffn", "layers": 2}), SMALL_RATES),
    Contender("Transformer", changed(_ENCODER, model={"kind": "transformer"}), SMALL_RATES),
    Contender("FNet", changed(_ENCODER, model={"kind": "fnet"}), SMALL_RATES),
)
CURVES = (POOLINGS[0], POOLINGS[2], POOLINGS[5], ORDERS[0], ORDERS[6])


def prepare_study(sources: Sequence[str], work: Path, texts: int | None) -> list[PreparedSource]:
    """Returns the sets with all test texts; the same shuffled; samples of the first, if large."""
    made = [prepare_source(source, work, texts) for source in sources]
    for source in sources:
        made.append(prepare_source(source, work, texts, change=shuffled_dataset, note=", shuffled"))
    for size in SIZES:
        sample = prepare_source(sources[0], work, round(size * 1.25), note=f", {size} texts")
        made += [sample] if sample.train > 0.99 * size else []
    return made


def study_jobs(plan: Plan) -> Jobs:
    """Returns all jobs, by part, set, contender and what it is for; runs follow their trials."""
    sets = {data.name: data for data in plan.datasets}
    plain = [data for name, data in sets.items() if not re.search(_MADE, name)]
    jobs: Jobs = {}
    for data in plain:
        for each, head in itertools.product(POOLINGS, HEADS):
            config = changed(each.config, model={"head": head})
            chosen = Contender(each.name, config, RATES if head == HEADS[0] else SMALL_RATES)
            jobs |= _tuned(plan, ("pooling", data.name, each.name, head), data, chosen)
        about = {"source": f"{data.source} {data.fingerprint[:16]}"}
        baseline = cost_job(f"study-tf-idf-{data.slug}", about, partial(_tfidf, data))
        jobs["pooling", data.name, TFIDF, HEADS[0], "runs"] = [baseline]
        jobs |= _path_jobs(plan, data)
    for op, pooling in itertools.product(("modulation", "interference"), TEXT_POOLINGS):
        config = changed(RECIPE, model={"op": op, "pooling": pooling}, probe={"every": 20})
        each = Contender(f"{op}-probed", config)
        jobs["backpropagation", op, pooling] = _runs(plan, plain[0], each, 3e-3)
    for data in plain:
        shuffled = sets.get(f"{data.name}, shuffled")
        if shuffled is not None and data.name not in ORDER_SKIPS:
            jobs |= _order_jobs(plan, data, shuffled)
    for rate, warmup, scale, table in itertools.product(
        SMALL_RATES, WARMUPS, SCALES_TRIED, ("rows", "frozen")
    ):
        train = {"warmup_steps": warmup, "table_optimizer": table}
        config = changed(ORDERS[6].config, model={"table_scale": scale}, train=train)
        key = ("transformer", rate, warmup, scale, table)
        jobs[key] = [_run(plain[0], Contender("transformer", config), rate, 0)]
    for size, each in itertools.product(SIZES, CURVES):
        if sample := sets.get(f"{plain[0].name}, {size} texts"):
            jobs |= _tuned(plan, ("curves", size, each.name), sample, each)
    return jobs


def best_rate(plan: Plan, data: PreparedSource, each: Contender) -> float | None:
    """Returns the rate to run with every seed, None while trials are missing.

    The smallest of those whose validation accuracy is within a standard error of the best one: what
    is best by less is best by chance.
    """
    found = [plan.find(_run(data, each, rate, 0)) for rate in each.rates]
    scores = [record["result"]["validation_accuracy"] for record in found if record is not None]
    if len(scores) < len(each.rates):
        return None
    error = math.sqrt(max(scores) * (1 - max(scores)) / data.validation)
    return next(
        r for r, score in zip(each.rates, scores, strict=True) if score >= max(scores) - error
    )


def _tfidf(data: PreparedSource) -> dict[str, Any]:
    texts = load_dataset(DataConfig(source=data.folder))
    train, test = texts.train, texts.test
    right = tfidf_right(train.texts, train.labels, test.texts, test.labels)
    if right is None:
        raise UserError("the study compares with scikit-learn: pip install scikit-learn")
    return {
        "right": packed(right), "test_examples": len(right), "test_accuracy": float(right.mean()),
    }  # fmt: skip


def _path_jobs(plan: Plan, data: PreparedSource) -> Jobs:
    """Trains by both paths, or by one alone, each at its own best rate."""
    jobs: Jobs = {}
    for pooling, path in itertools.product(TEXT_POOLINGS, PATHS):
        config = changed(RECIPE, model={"pooling": pooling, "gradient": path})
        key = ("paths", data.name, pooling, path)
        jobs |= _tuned(plan, key, data, Contender("modulation", config))
    return jobs


def _order_jobs(plan: Plan, data: PreparedSource, shuffled: PreparedSource) -> Jobs:
    """Trains on texts as they are, and at the same rate on shuffled ones."""
    jobs: Jobs = {}
    for each in ORDERS:
        key = ("order", data.name, each.name)
        jobs |= _tuned(plan, (*key, data.name), data, each)
        if rate := best_rate(plan, data, each):
            jobs[*key, shuffled.name, "runs"] = _runs(plan, shuffled, each, rate)
    return jobs


def _tuned(plan: Plan, key: tuple[Any, ...], data: PreparedSource, each: Contender) -> Jobs:
    """Returns the trials of each rate, and, when all are made, the runs at the best one."""
    jobs: Jobs = {(*key, "trials"): [_run(data, each, rate, 0) for rate in each.rates]}
    if rate := best_rate(plan, data, each):
        jobs[*key, "runs"] = _runs(plan, data, each, rate)
    return jobs


def _runs(plan: Plan, data: PreparedSource, each: Contender, rate: float) -> list[Job]:
    return [_run(data, each, rate, seed) for seed in range(plan.seeds)]


@cache  # jobs are listed anew after each measurement
def _run(data: PreparedSource, each: Contender, rate: float, seed: int) -> Job:
    config = changed(each.config, data={"source": data.folder}, train={"learning_rate": rate})
    config = replace(config, seed=seed, model=for_kind(config.model, RECIPE.model))
    stem = "study-" + "".join(c if c.isalnum() else "-" for c in each.name.lower())
    shuffle = config.data.max_length == _SHORT
    return run_job(config, stem, data, examine=partial(examine, config, shuffle))
