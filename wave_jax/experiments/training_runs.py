"""Training runs as jobs, at the papers' settings or tuned rates, and what is recorded of them."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import jax
import numpy as np
from numpy.linalg import norm
from rich.console import Console

from wave_jax.data.dataset import load_dataset
from wave_jax.data.tokenize import TokenizedDataset, tokenize_dataset
from wave_jax.experiments.plan import PAPER_RUN, Job, Measured, Plan, make_key, model_config
from wave_jax.experiments.sources import PreparedSource
from wave_jax.probe import gradient_norms
from wave_jax.runs.inputs import eval_batches, with_vocabulary
from wave_jax.runs.job import train
from wave_jax.runs.metrics_log import read_rows
from wave_jax.training.callbacks import Callback, CallbackFactory
from wave_jax.training.compilation import matmul_precision
from wave_jax.training.config import Config
from wave_jax.training.evaluation import Evaluator
from wave_jax.training.state import Params
from wave_jax.training.task import Task

_BERT_RATE = 2e-5  # of the papers, for fine-tuning
BERT_RATE_FROM_SCRATCH = 3e-4  # a random BERT learns next to nothing at 2e-5
_MEAN_FACTOR = 10  # a mean has no layer between table and classifier and takes larger steps
_RESULTS = (
    "steps", "best_step", "validation_accuracy", "test_accuracy", "test_loss", "test_examples",
    "majority_share", "parameters", "parameters_without_table", "step_bytes", "texts_cut",
)  # fmt: skip
_TIMES = ("seconds", "examples_per_s", "process_bytes", "device_bytes")
_BINS = 400  # of correlations from -1 to 1
_TEXT_TOKENS, _TEXT_DIMS = 10, 8

Row = dict[str, Any]
Recorder = Callable[[int, Params], Row]
Examine = Callable[[Path], Row]


def training(
    plan: Plan,
    name: str,
    seed: int,
    *,
    dataset: PreparedSource | None = None,
    changes: Mapping[str, Any] | None = None,
    callbacks: Mapping[str, int] | None = None,
    use_checkpoint: bool | None = None,
    **options: Any,
) -> Job:
    """Returns the run of a model, see `model_config`, with the papers' settings.

    Other fields of `ModelConfig` are given as `changes`, of `TrainConfig` as `options`. The run
    starts from the plan's checkpoint with `use_checkpoint`, by default for BERT only.
    """
    dataset, scale = dataset or plan.datasets[0], plan.scale
    wanted = name == "bert" if use_checkpoint is None else use_checkpoint
    folder, label = plan.pretrained if plan.pretrained and wanted else (None, None)
    usual: dict[str, Any] = {"epochs": scale.epochs}
    if name == "bert":
        rate = _BERT_RATE if label else BERT_RATE_FROM_SCRATCH
        usual |= {"batch_size": 32, "learning_rate": rate}
    sizes: dict[str, Any] = {"max_length": scale.max_length, "vocab_size": scale.vocab_size}
    model = replace(model_config(name, scale), pretrained=folder, **changes or {})
    data = replace(PAPER_RUN.data, source=dataset.folder, **sizes)
    learning = replace(PAPER_RUN.train, **usual | options)
    config = replace(PAPER_RUN, data=data, model=model, train=learning, seed=seed)
    return run_job(config, name, dataset, callbacks=callbacks, pretrained=label)


def run_job(
    config: Config,
    name: str,
    dataset: PreparedSource,
    *,
    callbacks: Mapping[str, int] | None = None,
    pretrained: str | None = None,
    examine: Examine | None = None,
) -> Job:
    """Returns the training that `config` describes as a job, whose record is named after `name`.

    Args:
      callbacks: steps between calls of those of `make_callbacks`.
      pretrained: label of the checkpoint in the config, whose path is private.
      examine: called with the finished run's folder; what it returns is added to the results, and
        the rows of metrics but those of probes are left out.
    """
    recorded = _as_json(config)
    del recorded["workdir"]
    recorded["model"]["pretrained"] = pretrained
    recorded["data"]["source"] = f"{dataset.source} {dataset.fingerprint[:16]}"
    recorded["watches"] = dict(callbacks or {})
    key = make_key(f"{name}-{dataset.slug}-s{config.seed}", essentials(recorded))

    def measure(work: Path, console: Console) -> Measured:
        workdir = work / "runs" / key
        if (workdir / "summary.json").is_file():  # finished, yet without a record: start again
            shutil.rmtree(workdir)
        quiet = console if console.is_terminal else Console(quiet=True)
        made = make_callbacks(config, callbacks or {})
        summary = train(config, workdir=workdir, console=quiet, callbacks=made)
        rows = list(read_rows(workdir))
        for row in rows:
            row.pop("examples_per_s", None)  # differs from run to run
        result = {name: getattr(summary, name) for name in _RESULTS}
        if examine is not None:
            rows = [row for row in rows if row["split"] == "probe"]
            result |= examine(workdir)
        shutil.rmtree(workdir)
        times = {name: getattr(summary, name) for name in _TIMES}
        return result | {"rows": rows}, times

    return Job(key, recorded, measure, config.seed)


def runs(plan: Plan, name: str, **settings: Any) -> list[Job]:
    """Returns a run for each seed, at the papers' learning rate unless the settings have one."""
    return [training(plan, name, seed, **settings) for seed in range(plan.seeds)]


def rate_trials(plan: Plan, name: str, **settings: Any) -> dict[float, Job]:
    """Returns a run with seed 0 for each learning rate; `settings` as `training` takes them."""
    factor = _MEAN_FACTOR if name == "mean" else 1
    rates = [round(rate * factor, 10) for rate in plan.scale.learning_rates]
    return {rate: training(plan, name, 0, learning_rate=rate, **settings) for rate in rates}


def best_runs(plan: Plan, name: str, **settings: Any) -> tuple[float, list[Job]]:
    """Returns the rate with the best validation accuracy so far, and its runs for all seeds."""
    scores = {
        rate: record["result"]["validation_accuracy"]
        for rate, job in rate_trials(plan, name, **settings).items()
        if (record := plan.find(job)) is not None
    }
    rate = max(scores, key=lambda rate: scores[rate], default=PAPER_RUN.train.learning_rate)
    return rate, runs(plan, name, learning_rate=rate, **settings)


def essentials(config: Mapping[str, Any], default: Any = None) -> dict[str, Any]:
    """Returns what differs from `PAPER_RUN`, so that an option added later renames no record."""
    default = _as_json(PAPER_RUN) if default is None else default
    found = {}
    for name, value in config.items():
        if isinstance(value, dict) and isinstance(default.get(name), dict):
            if inner := essentials(value, default[name]):
                found[name] = inner
        elif name not in default or value != default[name]:
            found[name] = value
    return found


def _as_json(config: Config) -> dict[str, Any]:
    return dict(json.loads(json.dumps(asdict(config))))


def make_callbacks(config: Config, intervals: Mapping[str, int]) -> list[CallbackFactory]:
    """Returns callbacks for `train`, given the steps between calls by name.

    They are 'test' (accuracy), 'gradients' (norms of the next batch's), 'embeddings' (correlations
    of their dimensions before the first step and now) and 'waves' (a text's first variant).
    """
    kinds = {"test": _test_accuracy, "gradients": _gradient_norms}
    kinds |= {"embeddings": _embeddings, "waves": _text_waves}

    def make(name: str, every: int, task: Task) -> Callback:
        texts = tokenize_dataset(with_vocabulary(config), load_dataset(config.data))
        return _Monitor(every, kinds[name](config, task, texts))

    return [partial(make, name, every) for name, every in intervals.items()]


@dataclass
class _Monitor:
    every: int
    record: Recorder

    def __call__(self, step: int, params: Params) -> Row:
        return self.record(step, params)


def _test_accuracy(config: Config, task: Task, texts: TokenizedDataset) -> Recorder:
    batches = eval_batches(texts, "test", config, task.mesh, task.validation.shapes)
    evaluator = Evaluator(task.model, task.mesh, config.train.precision)

    def record(step: int, params: Params) -> Row:
        result = evaluator(params, batches)
        return {"split": "test", "loss": result.loss, "accuracy": result.accuracy}

    return record


def _gradient_norms(config: Config, task: Task, texts: TokenizedDataset) -> Recorder:
    """Of the next batch's mean loss, without dropout or word dropout, and embeddings' lengths."""
    split, norms_of = texts.splits["train"], jax.jit(partial(gradient_norms, task.model))
    embed = jax.jit(partial(task.model.apply, method="embed"))

    def record(step: int, params: Params) -> Row:
        examples = task.batches.examples(step)
        lengths = split.tokens.lengths[examples]
        mask = np.arange(config.data.max_length) < lengths[:, None]
        ids = np.zeros(mask.shape, np.int32)
        ids[mask] = np.concatenate([split.tokens[int(index)] for index in examples])
        with matmul_precision(config.train.precision):
            norms = norms_of(params, ids, split.labels[examples], mask=mask)
        lengths = norm(embed({"params": params}, ids), axis=-1)
        sizes = {"cls_size": lengths[:, 0], "input_size": lengths[mask]}  # root mean squares
        names = ("cls", "input", "classifier")
        row: Row = {"split": "gradients"} | {name: float(norms[name]) for name in names}
        return row | {name: float(np.sqrt(np.mean(x**2))) for name, x in sizes.items()}

    return record


def _embeddings(config: Config, task: Task, texts: TokenizedDataset) -> Recorder:
    seen = np.unique(texts.splits["train"].tokens.ids)
    before = _table(task.new_state().params)[seen]

    def record(step: int, params: Params) -> Row:
        after = _table(params)[seen]
        statistics = {"before": independence(before), "after": independence(after)}
        moved = _rounded(norm(after - before) / norm(before))
        return {"split": "embeddings", "moved": moved, **statistics}

    return record


def _text_waves(config: Config, task: Task, texts: TokenizedDataset) -> Recorder:
    """Of the first tokens of the first short test text, or of the shortest, in a few dimensions."""
    tokens = texts.splits["test"].tokens
    index = np.maximum(tokens.lengths, _TEXT_TOKENS).argmin()  # the first of equals
    text = tokens[int(index)][:_TEXT_TOKENS]
    words = texts.tokenizer.tokens(text)

    def record(step: int, params: Params) -> Row:
        u: Any = task.model.apply({"params": params}, _table(params)[text], method="project")
        return {"split": "waves", "tokens": words, "variant": _rounded(u[:, 0, :_TEXT_DIMS])}

    return record


def independence(rows: np.ndarray) -> dict[str, Any]:
    """Returns statistics of the correlations between dimensions over rows [tokens, d].

    `expected_mean_abs` is `mean_abs` of independent Gaussian dimensions; `effective_rank` is the
    exponential of the entropy of the correlations' eigenvalues (Roy and Vetterli 2007); `histogram`
    has bins from -1 to 1.

    >>> independence(np.eye(4)[:, :2])["max_abs"]
    0.33333
    """
    rows = np.asarray(rows, np.float64)
    count, dim = rows.shape
    correlation = np.corrcoef(rows, rowvar=False)
    others = correlation[~np.eye(dim, dtype=bool)]
    shares = np.clip(np.linalg.eigvalsh(correlation), 0, None) / dim
    positive = shares[shares > 0]
    return {
        "tokens": count,
        "dim": dim,
        "mean_abs": _rounded(np.abs(others).mean()),
        "max_abs": _rounded(np.abs(others).max()),
        "effective_rank": _rounded(np.exp(-(positive * np.log(positive)).sum())),
        "expected_mean_abs": _rounded(np.sqrt(2 / np.pi / count)),
        "histogram": np.histogram(others, bins=_BINS, range=(-1, 1))[0].tolist(),
    }


def _table(params: Params) -> np.ndarray:
    return np.asarray(jax.device_get(params["embed"]["embedding"]))


def _rounded(x: Any) -> Any:
    return np.asarray(x).astype(np.float64).round(5).tolist()
