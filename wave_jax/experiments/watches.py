"""What is watched while a network learns, for the second paper's figures."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from wave_jax import ops
from wave_jax.data.dataset import load_dataset
from wave_jax.data.tokenize import TokenizedDataset, tokenize_dataset
from wave_jax.experiments.independence import independence
from wave_jax.probe import gradient_norms
from wave_jax.runs.inputs import eval_batches, with_vocabulary
from wave_jax.training.callbacks import Callback, CallbackFactory
from wave_jax.training.compilation import matmul_precision
from wave_jax.training.config import Config
from wave_jax.training.evaluation import Evaluator
from wave_jax.training.state import Params
from wave_jax.training.task import Task

_PICTURED_TOKENS, _PICTURED_DIMS = 10, 8


def make_watches(config: Config, watches: Mapping[str, int]) -> list[CallbackFactory]:
    """Returns what `train` takes as hooks, each doing its part every so many steps.

    Args:
        config: of the run.
        watches: 'test' accuracy, 'gradients', or 'embeddings' (their independence, and a text's
            waves, both before the first step and now), each with its number of steps.
    """
    makers = {"test": TestAccuracy, "gradients": Gradients, "embeddings": Embeddings}
    return [partial(_make, makers[name], config, every) for name, every in watches.items()]


def _make(maker: Any, config: Config, every: int, task: Task) -> Callback:
    texts = tokenize_dataset(with_vocabulary(config), load_dataset(config.data))
    hook: Callback = maker(config, every, task, texts)
    return hook


class TestAccuracy:
    """Accuracy on the test part."""

    __test__ = False  # a class of the program, whatever pytest makes of its name

    def __init__(self, config: Config, every: int, task: Task, texts: TokenizedDataset) -> None:
        self.every = every
        self._batches = eval_batches(texts, "test", config, task.mesh, task.validation.shapes)
        self._evaluator = Evaluator(task.model, task.mesh, config.train.precision)

    def __call__(self, step: int, params: Params) -> dict[str, Any]:
        """Returns loss and accuracy."""
        del step
        result = self._evaluator(params, self._batches)
        return {"split": "test", "loss": result.loss, "accuracy": result.accuracy}


class Gradients:
    """Norms of the gradient of the coming batch's mean loss, without dropout of any kind."""

    def __init__(self, config: Config, every: int, task: Task, texts: TokenizedDataset) -> None:
        self.every, self._batches, self._precision = every, task.batches, config.train.precision
        self._texts, self._length = texts.splits["train"], config.data.max_length
        self._norms = jax.jit(partial(gradient_norms, task.model))

    def __call__(self, step: int, params: Params) -> dict[str, Any]:
        """Returns the norms at [CLS], all words of the input, and the classifier."""
        examples = self._batches.examples(step)
        shape = len(examples), self._length
        ids, mask = np.zeros(shape, np.int32), np.zeros(shape, bool)
        for row, index in enumerate(examples):
            tokens = self._texts.tokens[int(index)]
            ids[row, : len(tokens)], mask[row, : len(tokens)] = tokens, True
        labels = self._texts.labels[examples]
        with matmul_precision(self._precision):
            norms = jax.device_get(self._norms(params, ids, labels, mask=mask))
        return {"split": "gradients"} | {
            name: float(norms[name]) for name in ("cls", "input", "classifier")
        }


class Embeddings:
    """Independence of the embeddings' dimensions over the tokens seen, before and after."""

    def __init__(self, config: Config, every: int, task: Task, texts: TokenizedDataset) -> None:
        del config
        self.every = every
        self._seen = np.unique(texts.splits["train"].tokens.ids)
        self._before = _table(task.new_state().params)
        self._text = _short_text(texts)
        self._pieces = texts.tokenizer.tokens(self._text)
        self._waves = task.model if hasattr(task.model, "readouts") else None

    def __call__(self, step: int, params: Params) -> dict[str, Any]:
        """Returns the statistics of both moments, and for waves a text's tokens as waves."""
        del step
        table = _table(params)
        before, after = self._before[self._seen], table[self._seen]
        row: dict[str, Any] = {
            "split": "embeddings",
            "before": independence(before),
            "after": independence(after),
            "moved": _distance(after, before),
        }
        if self._waves is not None:
            row["text"] = self._picture(params, jnp.asarray(table[self._text]))
        return row

    def _picture(self, params: Params, x: jax.Array) -> dict[str, Any]:
        variants = params["layer_0"]["variants"]
        u = jnp.einsum("nd,dvk->vnk", x, variants["kernel"]) + variants["bias"][:, None]
        picture: dict[str, Any] = {"tokens": self._pieces, "embedding": _rounded(x)}
        picture["magnitude"] = _rounded(ops.magnitude(x))
        picture["phase"] = _rounded(ops.phase(x))
        for k in range(2):
            picture[f"variant_{k + 1}"] = {
                "magnitude": _rounded(ops.magnitude(u[k])),
                "phase": _rounded(ops.phase(u[k])),
            }
        return picture


def _short_text(texts: TokenizedDataset) -> np.ndarray:
    """Returns the ids of the first test text that has few tokens, or else the shortest."""
    tokens = texts.splits["test"].tokens
    lengths = np.asarray(tokens.lengths)
    fitting = np.flatnonzero(lengths <= _PICTURED_TOKENS)
    index = int(fitting[0]) if len(fitting) else int(lengths.argmin())
    return np.asarray(tokens[index][:_PICTURED_TOKENS])


def _distance(after: np.ndarray, before: np.ndarray) -> float:
    """Returns how far the rows have moved, relative to their size before."""
    return float(round(np.linalg.norm(after - before) / np.linalg.norm(before), 5))


def _table(params: Params) -> np.ndarray:
    return np.asarray(jax.device_get(params["embed"]["embedding"]))


def _rounded(x: Any) -> list[list[float]]:
    return [[round(float(v), 5) for v in row[:_PICTURED_DIMS]] for row in np.asarray(x)]
