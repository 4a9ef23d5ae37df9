"""Callbacks that record test accuracy, gradient norms and embeddings during a training run."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from numpy.linalg import norm

from wave_jax import ops
from wave_jax.data.dataset import load_dataset
from wave_jax.data.tokenize import TokenizedDataset, tokenize_dataset
from wave_jax.probe import gradient_norms
from wave_jax.runs.inputs import eval_batches, with_vocabulary
from wave_jax.training.callbacks import Callback, CallbackFactory
from wave_jax.training.compilation import matmul_precision
from wave_jax.training.config import Config
from wave_jax.training.evaluation import Evaluator
from wave_jax.training.state import Params
from wave_jax.training.task import Task

_BINS, _CORNER = 41, 48
_TEXT_TOKENS, _TEXT_DIMS = 10, 8

Row = dict[str, Any]
Recorder = Callable[[int, Params], Row]


def make_callbacks(config: Config, intervals: Mapping[str, int]) -> list[CallbackFactory]:
    """Returns callbacks for `train` by name, each with the steps between its calls.

    They are 'test' (accuracy), 'gradients' (norms of the next batch's) and 'embeddings'
    (correlations of their dimensions before the first step and now, and the waves of a text).
    """
    kinds = {"test": _test_accuracy, "gradients": _gradient_norms, "embeddings": _embeddings}

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
    """Of the next batch's mean loss, without dropout or word dropout."""
    split, norms_of = texts.splits["train"], jax.jit(partial(gradient_norms, task.model))

    def record(step: int, params: Params) -> Row:
        examples = task.batches.examples(step)
        ids = np.zeros((len(examples), config.data.max_length), np.int32)
        mask = np.zeros(ids.shape, bool)
        for row, index in enumerate(examples):
            tokens = split.tokens[int(index)]
            ids[row, : len(tokens)], mask[row, : len(tokens)] = tokens, True
        with matmul_precision(config.train.precision):
            norms = norms_of(params, ids, split.labels[examples], mask=mask)
        names = ("cls", "input", "classifier")
        return {"split": "gradients"} | {name: float(norms[name]) for name in names}

    return record


def _embeddings(config: Config, task: Task, texts: TokenizedDataset) -> Recorder:
    seen = np.unique(texts.splits["train"].tokens.ids)
    before, text = _table(task.new_state().params)[seen], _short_text(texts)
    words = texts.tokenizer.tokens(text)

    def record(step: int, params: Params) -> Row:
        table = _table(params)
        after = table[seen]
        row: Row = {"split": "embeddings", "before": independence(before)}
        row["after"] = independence(after)
        row["moved"] = float(round(norm(after - before) / norm(before), 5))
        if hasattr(task.model, "readouts"):  # it has waves
            row["text"] = {"tokens": words, **_text_waves(params, jnp.asarray(table[text]))}
        return row

    return record


def independence(rows: np.ndarray) -> dict[str, Any]:
    """Returns statistics of the correlations between dimensions over rows [tokens, d].

    Returns:
        `mean_abs` and `max_abs` of the off-diagonal correlations, and `expected_mean_abs`, that of
        independent Gaussian dimensions, sqrt(2 / (pi tokens)); `effective_rank`, the exponential of
        the entropy of the correlation matrix's eigenvalues (Roy and Vetterli 2007), d for
        uncorrelated dimensions; `histogram`, counts of the off-diagonal correlations in bins from
        -1 to 1; `corner`, the correlations of the first dimensions.

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
        "mean_abs": _round(np.abs(others).mean()),
        "max_abs": _round(np.abs(others).max()),
        "effective_rank": _round(np.exp(-(positive * np.log(positive)).sum())),
        "expected_mean_abs": _round(np.sqrt(2 / np.pi / count)),
        "histogram": np.histogram(others, bins=_BINS, range=(-1, 1))[0].tolist(),
        "corner": [[_round(v, 3) for v in row[:_CORNER]] for row in correlation[:_CORNER]],
    }


def _short_text(texts: TokenizedDataset) -> np.ndarray:
    """Returns the first tokens of the first short test text, or of the shortest."""
    tokens = texts.splits["test"].tokens
    lengths = np.asarray(tokens.lengths)
    short = np.flatnonzero(lengths <= _TEXT_TOKENS)
    index = int(short[0]) if len(short) else int(lengths.argmin())
    return np.asarray(tokens[index][:_TEXT_TOKENS])


def _text_waves(params: Params, x: jax.Array) -> Row:
    def polar(u: jax.Array) -> Row:
        return {"magnitude": _rounded(ops.magnitude(u)), "phase": _rounded(ops.phase(u))}

    variants = params["layer_0"]["variants"]
    u = jnp.einsum("nd,dvk->vnk", x, variants["kernel"]) + variants["bias"][:, None]
    waves = {"variant_1": polar(u[0]), "variant_2": polar(u[1])}
    return {"embedding": _rounded(x), **polar(x), **waves}


def _table(params: Params) -> np.ndarray:
    return np.asarray(jax.device_get(params["embed"]["embedding"]))


def _rounded(x: Any) -> list[list[float]]:
    return [[_round(v) for v in row[:_TEXT_DIMS]] for row in np.asarray(x)]


def _round(value: float, digits: int = 5) -> float:
    return round(float(value), digits)
