"""A classifier of texts in memory, with scikit-learn's conventions."""

from __future__ import annotations

import dataclasses
import io
import json
import shutil
import threading
from collections.abc import Iterable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from rich.console import Console

from wave_jax.data.dataset import MEMORY
from wave_jax.data.layouts import LABELS
from wave_jax.data.table import components
from wave_jax.data.tokenizer import without_surrogates
from wave_jax.errors import Interrupted, UserError
from wave_jax.inference.classifier import checked, load
from wave_jax.runs.checkpoints import Checkpoints
from wave_jax.runs.files import config_from_dict, save_tokenizer, write_whole
from wave_jax.runs.initial import FITTED_FILE
from wave_jax.runs.job import train
from wave_jax.runs.metrics_log import METRICS_FILE
from wave_jax.runs.recipes import load_recipe
from wave_jax.runs.workdir import SNAPSHOT, claim
from wave_jax.training.config import Config
from wave_jax.training.state import State

try:
    from sklearn.base import BaseEstimator, ClassifierMixin
    from sklearn.exceptions import NotFittedError
except ImportError as error:
    raise UserError("TextClassifier needs scikit-learn: pip install scikit-learn") from error

_ONE_AT_A_TIME = threading.Lock()  # Orbax confuses checkpoints that threads save at once
# Parameters that override the field of that name in this section of the configuration.
_FIELDS = {
    "model": ("op", "dim", "dropout", "word_dropout"),
    "data": ("ngrams", "stems", "max_length"),
    "train": ("epochs", "batch_size", "learning_rate"),
}


class TextClassifier(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """A Wave Network as a scikit-learn classifier, of texts in memory.

    `fit` trains as `train.py` does. The same texts, labels and parameters give the same predictions
    on a CPU, bit for bit. There are no sample weights.

    Args:
      op, dim, dropout, word_dropout, ngrams, stems, max_length, epochs, batch_size, learning_rate,
        random_state (the seed, or a NumPy RandomState): as `train.py --help` has them; None leaves
        one to `config`.
      config: all else; by default `wave_jax.runs.recipes.load_recipe("default")`.
      workdir: a folder that keeps the run and its texts, where an interrupted `fit` resumes.
      verbose: whether to show what `train.py` shows.

    Attributes:
      classes_: the distinct labels, ascending, as given.
      classifier_: the trained `Classifier`, as `wave_jax.load` returns it.
    """

    def __init__(
        self,
        *,
        op: str | None = None,
        dim: int | None = None,
        dropout: float | None = None,
        word_dropout: float | None = None,
        ngrams: int | None = None,
        stems: tuple[int, ...] | None = None,
        max_length: int | None = None,
        epochs: int | None = None,
        batch_size: int | None = None,
        learning_rate: float | None = None,
        random_state: Any = None,
        config: Config | None = None,
        workdir: str | Path | None = None,
        verbose: bool = False,
    ) -> None:
        self.op, self.dim, self.dropout, self.word_dropout = op, dim, dropout, word_dropout
        self.ngrams, self.stems, self.max_length = ngrams, stems, max_length
        self.epochs, self.batch_size, self.learning_rate = epochs, batch_size, learning_rate
        self.random_state, self.config = random_state, config
        self.workdir, self.verbose = workdir, verbose

    def fit(self, X: Iterable[str], y: Iterable[Any]) -> TextClassifier:
        """Learns from the texts `X` and their labels `y`: strings, whole numbers or truth values.

        TypeError where a text is not a string; ValueError where a label is missing, there are too
        few texts or classes, or a parameter cannot be used.
        """
        texts = _texts(X)
        classes, labels = _classes(y, texts)
        file = None if self.verbose else io.StringIO()
        console = Console(quiet=not self.verbose, file=file, soft_wrap=True)
        with TemporaryDirectory(prefix="wave_jax-", ignore_cleanup_errors=True) as temporary:
            folder = Path(self.workdir or temporary).absolute()
            config = self._make_config(folder / SNAPSHOT)
            new = claim(folder, config) == "new"
            _write_source(folder / SNAPSHOT, texts, classes, labels)
            try:
                with _ONE_AT_A_TIME:
                    train(config, workdir=folder, console=console)
            except UserError:
                if new and not (folder / METRICS_FILE).exists():
                    shutil.rmtree(folder)  # so that the next try may name it again
                raise
            except Interrupted as error:
                raise KeyboardInterrupt from error
            self.classifier_, self.classes_ = load(folder), classes
        return self

    def predict(self, X: Iterable[str]) -> np.ndarray:
        """Returns the most probable label of each text, of the type learned from, [texts]."""
        best = self._fitted().logits(_texts(X)).argmax(axis=1)
        return np.asarray(self.classes_[best])

    def predict_proba(self, X: Iterable[str]) -> np.ndarray:
        """Returns the probability of each of `classes_`, float64 [texts, classes]."""
        found = [list(each.probabilities.values()) for each in self._fitted().predict(_texts(X))]
        return np.array(found, np.float64).reshape(-1, len(self.classes_))

    def save(self, folder: str | Path) -> None:
        """Writes the model to a new or empty folder, for `load`, `wave_jax.load` and commands."""
        classifier, classes, folder = self._fitted(), self.classes_, Path(folder)
        data = dataclasses.replace(classifier.config.data, source=MEMORY)
        if claim(folder, dataclasses.replace(classifier.config, data=data)) != "new":
            raise UserError(f"{folder} holds a model already: give a new or empty folder")
        write_whole(folder / LABELS, json.dumps(classifier.labels, ensure_ascii=False))
        save_tokenizer(folder, classifier.tokenizer)
        state = State(np.int32(0), classifier.params, {}, None)  # type: ignore[arg-type]
        with Checkpoints(folder, keep=1) as checkpoints:
            checkpoints.save(state, {"position": {"step": 0, "best_step": 0}})
        write_whole(folder / FITTED_FILE, json.dumps([classes.tolist(), classes.dtype.str]))

    @classmethod
    def load(cls, folder: str | Path) -> TextClassifier:
        """Returns the model of `save`, or of a run with its order of classes and its `config`."""
        classifier, path = load(folder), Path(folder) / FITTED_FILE
        made = cls(config=classifier.config)
        made.classifier_, made.classes_ = classifier, np.array(classifier.labels)
        if path.is_file():
            made.classes_ = np.array(*json.loads(path.read_text("utf-8")))
        return made

    def _fitted(self) -> Any:
        if not hasattr(self, "classifier_"):
            raise NotFittedError("this TextClassifier is not fitted yet: call fit(texts, labels)")
        return self.classifier_

    def _make_config(self, source: Path) -> Config:
        values = dataclasses.asdict(self.config or load_recipe("default"))
        for section, names in _FIELDS.items():
            given = {name: getattr(self, name) for name in names}
            values[section] |= {k: v for k, v in given.items() if v is not None}
        if (seed := self.random_state) is not None:
            values["seed"] = int(seed.randint(1 << 31)) if hasattr(seed, "randint") else seed
        values["train"]["baseline"] = False
        values["data"] |= {"source": str(source), "test": None, "group_column": None}
        values["data"]["test_fraction"] = 0
        values["data"] |= {"text_columns": ("text",), "label_column": "label", "columns": ()}
        text = json.dumps(values, default=np.generic.tolist)  # a grid's numbers may be NumPy's
        return config_from_dict(json.loads(text), type(self).__name__)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags = dataclasses.replace(tags.input_tags, string=True, two_d_array=False)
        return tags


def _texts(X: Iterable[str]) -> list[str]:
    if isinstance(X, str) or getattr(X, "ndim", 1) != 1:
        raise TypeError(f"expected a list or a column of texts, got one {type(X).__name__}")
    return checked(X)


def _classes(y: Any, texts: list[str]) -> tuple[np.ndarray, np.ndarray]:
    """Returns the distinct labels, and the index of each text's among them."""
    array = np.asarray(y)
    if array.shape != (len(texts),):
        raise ValueError(f"y should be a 1d array of {len(texts)} labels, got shape {array.shape}")
    for i, value in enumerate(values := y if isinstance(y, list | tuple) else array.tolist()):
        if value is None or value != value:
            raise ValueError(f"Input y contains NaN: label {i} is {value!r}; leave such texts out")
    kinds = {"str" if isinstance(value, str) else type(value).__name__ for value in values}
    plain = kinds <= {"str"} or kinds <= {"int", "bool"} or array.dtype.kind in "bui"
    if not plain and (array.dtype.kind != "f" or not all(float(v).is_integer() for v in values)):
        raise ValueError(f"Unknown label type: {kinds}; expected all strings or all whole numbers")
    classes, labels = np.unique(array, return_inverse=True)
    if len(classes) < 2:
        raise ValueError(f"expected two classes or more, got {len(classes) or 'no'} class")
    if np.bincount(labels[np.unique(components(texts), return_index=True)[1]]).max() < 2:
        raise ValueError("no class has two different texts, of which one could be held out")
    return classes, labels


def _write_source(folder: Path, texts: list[str], classes: np.ndarray, labels: np.ndarray) -> None:
    """Writes the files of a source; UserError where they are there and hold other texts.

    Classes are named as they print, or numbered where a file would not keep the names apart.
    """
    names = [str(value) for value in classes.tolist()]
    kept = all(name.isprintable() and name == name.strip() != "" for name in names)
    if not kept or len(set(names)) < len(names):
        names = [str(index) for index in range(len(names))]
    pairs = zip(map(without_surrogates, texts), labels.tolist(), strict=True)
    rows = [json.dumps({"text": text, "label": names[index]}) + "\n" for text, index in pairs]
    folder.mkdir(parents=True, exist_ok=True)
    for name, lines in (("train.jsonl", rows), (LABELS, [json.dumps(names)])):
        path, text = folder / name, "".join(lines)
        if path.is_file() and path.read_text("utf-8") != text:
            raise UserError(f"{folder.parent} holds a run on other texts: give another workdir")
        write_whole(path, text)
