"""The study: is it a wave? What is measured to tell waves from the pooling of norms.

Contenders share head, table and tokens; the rate of each is tried on the validation texts with seed
0, and the best one is run with every seed. All runs of a set are tested on the same texts, and
records keep which of them were right, so that contenders are compared text by text.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cache, partial
from pathlib import Path
from typing import Any, NamedTuple

from wave_jax.experiments.interventions import examine, shuffled_dataset
from wave_jax.experiments.plan import PAPER_RUN, Job, Jobs, Plan
from wave_jax.experiments.sources import PreparedSource, prepare_source
from wave_jax.experiments.training_runs import run_job
from wave_jax.models.build import for_kind
from wave_jax.training.config import Config

RATES, ENCODER_RATES = (1e-3, 3e-3, 1e-2, 3e-2), (3e-4, 1e-3, 3e-3, 1e-2)
SIZES = (500, 2_000, 8_000, 27_000)  # of learning curves
PROBED_EVERY = 20  # steps

# The default recipe, but for the linear path, which would hide what the rest can do, and for the
# refit, which would learn from the texts that rates are chosen by.
_RECIPE: dict[str, dict[str, Any]] = {
    "data": {"max_length": 256, "ngrams": 2, "stems": (4,)},
    "model": {
        "variants": "table", "head": "linear", "dim": 16, "table_scale": 0.03, "dropout": 0.3,
        "word_dropout": 0.1,
    },
    "train": {"epochs": None, "b1": 0.0, "weight_decay": 0.0, "clip_norm": 0.0},
}  # fmt: skip
_SHORT = 64  # tokens, where order is at stake
_WORDS = {"data": {"ngrams": 1, "stems": (), "max_length": _SHORT}}
_DENSE = {**_WORDS, "model": {"variants": "dense", "dim": 64}}
_ENCODER: dict[str, Any] = {
    **_WORDS,
    "model": {
        "variants": "dense", "head": "ffn", "dim": 64, "table_scale": None, "dropout": 0.1,
    },
    "train": {"b1": 0.9, "weight_decay": 0.01, "clip_norm": 1.0},
}  # fmt: skip


class Contender(NamedTuple):
    """A network and how it learns, as changes of the study's recipe by section of `Config`."""

    name: str
    changes: Mapping[str, Mapping[str, Any]]
    rates: tuple[float, ...] = RATES


def contender(
    name: str, *changes: Mapping[str, Any], rates: Any = RATES, **model: Any
) -> Contender:
    """Returns a contender: changes one over the other, then fields of `ModelConfig`."""
    merged: dict[str, dict[str, Any]] = {}
    for each in (*changes, {"model": model}):
        for section, values in each.items():
            merged.setdefault(section, {}).update(values)
    return Contender(name, merged, rates)


POOLINGS = (
    contender("modulation"),
    contender("interference", op="interference"),
    contender("r r'", kind="pool", pool="norm-product"),
    contender("r + r'", kind="pool", pool="norm-sum"),
    contender("r", kind="pool", pool="norm"),
    contender("mean", kind="pool", pool="mean"),
    contender("mean of |u|", kind="pool", pool="mean-abs"),
    contender("maximum", kind="pool", pool="max"),
    contender("learned power", kind="pool", pool="power"),
)
HEADS = ("linear", "ffn")
PATHS = ("both", "magnitude", "phase")
TEXT_POOLINGS = ("cls", "mean")
ORDERS = (
    contender("words (the default network)", _WORDS),
    contender("pairs of words", {"data": {"max_length": _SHORT}}),
    contender("sinusoidal positions", _DENSE, position="sinusoidal"),
    contender("learned positions", _DENSE, position="learned"),
    contender("scopes of sentences", _WORDS, scopes=("sentence", "input")),
    contender("two layers", _DENSE, head="ffn", layers=2),
    contender("Transformer", _ENCODER, kind="transformer", rates=ENCODER_RATES),
    contender("FNet", _ENCODER, kind="fnet", rates=ENCODER_RATES),
)
CURVES = (POOLINGS[0], POOLINGS[2], POOLINGS[5], ORDERS[6])
SCALES_TRIED, WARMUPS, FROZEN = (None, 0.03, 1.0), (0, 100), (False, True)
ORDER_SKIPS = ("IMDB",)  # whose texts do not fit the encoders' 64 tokens


def prepare_study(sources: Sequence[str], work: Path, texts: int | None) -> list[PreparedSource]:
    """Returns the sets, with all their test texts; shuffled ones; samples of the first one.

    Samples of more texts than there are, are left out.
    """
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
    plain = [data for data in plan.datasets if data.name.partition(",")[0] == data.name]
    jobs: Jobs = {}
    for data in plain:
        for each, head in ((each, head) for each in POOLINGS for head in HEADS):
            chosen = contender(each.name, each.changes, head=head)
            jobs |= _tuned(plan, ("pooling", data.name, each.name, head), data, chosen)
        jobs |= _path_jobs(plan, data)
    jobs |= _backpropagation_jobs(plan, plain[0])
    for data in plain:
        if data.name not in ORDER_SKIPS:
            jobs |= _order_jobs(plan, data, sets[f"{data.name}, shuffled"])
    jobs |= _transformer_jobs(plan, plain[0])
    for size, each in ((size, each) for size in SIZES for each in CURVES):
        if sample := sets.get(f"{plain[0].name}, {size} texts"):
            jobs |= _tuned(plan, ("curves", size, each.name), sample, each)
    return jobs


def _path_jobs(plan: Plan, data: PreparedSource) -> Jobs:
    """Trains by one path at the rate that is best for both."""
    jobs: Jobs = {}
    for pooling in TEXT_POOLINGS:
        whole = contender("modulation", pooling=pooling, head="linear")
        found = _tuned(plan, ("paths", data.name, pooling, "both"), data, whole)
        jobs |= found
        if rate := best_rate(plan, data, whole):
            for path in PATHS[1:]:
                each = contender("modulation", whole.changes, gradient=path)
                key = ("paths", data.name, pooling, path, "runs")
                jobs[key] = _runs(plan, data, each, rate)
    return jobs


def _order_jobs(plan: Plan, data: PreparedSource, shuffled: PreparedSource) -> Jobs:
    """Trains on texts as they are and with shuffled words, at the rate that is best for the former.

    The former are tested on shuffled texts too.
    """
    jobs: Jobs = {}
    for each in ORDERS:
        key = ("order", data.name, each.name)
        jobs |= _tuned(plan, (*key, data.name), data, each)
        if rate := best_rate(plan, data, each):
            jobs[*key, shuffled.name, "runs"] = _runs(plan, shuffled, each, rate)
    return jobs


def _transformer_jobs(plan: Plan, data: PreparedSource) -> Jobs:
    jobs: Jobs = {}
    for rate in ENCODER_RATES:
        for warmup in WARMUPS:
            for scale in SCALES_TRIED:
                for frozen in FROZEN:
                    learn = {"warmup_steps": warmup, "table_optimizer": "frozen"}
                    train = {"train": learn if frozen else {"warmup_steps": warmup}}
                    each = contender(
                        "transformer", _ENCODER, train, kind="transformer", table_scale=scale
                    )
                    key = ("transformer", rate, warmup, scale, frozen)
                    jobs[key] = [_run(data, each.name, each, rate, 0)]
    return jobs


def _backpropagation_jobs(plan: Plan, data: PreparedSource) -> Jobs:
    jobs: Jobs = {}
    for op in ("modulation", "interference"):
        for pooling in TEXT_POOLINGS:
            probe = {"probe": {"every": PROBED_EVERY}}
            each = contender(f"{op}-probed", probe, op=op, pooling=pooling)
            jobs["backpropagation", op, pooling] = _runs(plan, data, each, 3e-3)
    return jobs


def _tuned(plan: Plan, key: tuple[Any, ...], data: PreparedSource, each: Contender) -> Jobs:
    """Returns the trials of each rate, and, when all are made, the runs at the best one."""
    jobs: Jobs = {(*key, "trials"): list(_trials(data, each))}
    if rate := best_rate(plan, data, each):
        jobs[*key, "runs"] = _runs(plan, data, each, rate)
    return jobs


def _runs(plan: Plan, data: PreparedSource, each: Contender, rate: float) -> list[Job]:
    return [_run(data, each.name, each, rate, seed) for seed in range(plan.seeds)]


def best_rate(plan: Plan, data: PreparedSource, each: Contender) -> float | None:
    """Returns the rate with the best validation accuracy, None while trials are missing."""
    found = [plan.find(job) for job in _trials(data, each)]
    scores = [record["result"]["validation_accuracy"] for record in found if record is not None]
    return each.rates[scores.index(max(scores))] if len(scores) == len(each.rates) else None


def _trials(data: PreparedSource, each: Contender) -> Iterator[Job]:
    return (_run(data, each.name, each, rate, 0) for rate in each.rates)


def _run(data: PreparedSource, name: str, each: Contender, rate: float, seed: int) -> Job:
    changes = tuple((k, tuple(sorted(v.items()))) for k, v in sorted(each.changes.items()))
    return _cached_run(data, name, changes, rate, seed)


@cache  # jobs are listed anew after each measurement
def _cached_run(data: PreparedSource, name: str, changes: Any, rate: float, seed: int) -> Job:
    config = study_config(changes, rate, seed)
    config = replace(config, data=replace(config.data, source=data.folder))
    shuffle = config.data.max_length == _SHORT
    stem = "study-" + "".join(c if c.isalnum() else "-" for c in name.lower())
    return run_job(config, stem, data, examine=partial(examine, config, shuffle))


def study_config(changes: Any, rate: float, seed: int) -> Config:
    """Returns the study's recipe with a contender's changes and a rate; its source is left open."""
    config = replace(PAPER_RUN, seed=seed)
    for section, values in (*_RECIPE.items(), *((k, dict(v)) for k, v in changes)):
        config = replace(config, **{section: replace(getattr(config, section), **values)})
    model = for_kind(config.model, replace(PAPER_RUN.model, **_RECIPE["model"]))
    return replace(config, model=model, train=replace(config.train, learning_rate=rate))
