"""The classifiers that are compared: each learns from texts and predicts others."""

from __future__ import annotations

import csv
import json
import re
import shlex
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np

import wave_jax
from benchmarks.command import environment
from benchmarks.cross_validation.folds import Texts
from benchmarks.fasttext import load_library
from benchmarks.workers import NotInstalled
from wave_jax.errors import shorten

_SETTINGS: dict[str, list[dict[str, Any]]] = {
    "tfidf": [{"ngrams": n, "c": c} for n in (1, 2) for c in (1, 10)],
    "fasttext": [{"ngrams": n, "epochs": count} for n in (1, 2) for count in (5, 10, 25)],
}
BASELINES = tuple(_SETTINGS)
VARIANTS = {"ours": "", "mean": "--model.kind mean"}
_PACKAGES = ("jax", "jaxlib", "numpy", "scipy", "scikit-learn", "fasttext")
_SPACED, _DROPPED = re.compile(r"([.,!?()'])"), re.compile(r"<br />|[;:]")


class Failed(RuntimeError):
    """A training ended with an error: one line."""


@dataclass(frozen=True)
class Method:
    """A model with one of its settings.

    `measure(learned, tested, seed, **arguments)` returns accuracy, seconds and size, which is the
    number of parameters, and perhaps more for the record.
    """

    model: str
    setting: str
    measure: Callable[..., dict[str, Any]]
    arguments: Mapping[str, Any]
    seeded: bool = True  # the result depends on the seed


def methods(
    models: tuple[str, ...], variants: Mapping[str, str], notes: list[str]
) -> Iterator[Method]:
    """Yields the models in all their settings; one that is not installed leaves a note.

    Args:
        models: each a baseline or the name of a variant of ours.
        variants: name -> arguments of the training.
        notes: where notes are added.
    """
    if "fasttext" in models:
        try:
            load_library()
        except NotInstalled as error:
            notes.append(str(error))
            models = tuple(model for model in models if model != "fasttext")
    for model in models:
        for given in _SETTINGS.get(model, [{"arguments": variants.get(model)}]):
            named = [f"{'C' if name == 'c' else name} {value}" for name, value in given.items()]
            setting = ", ".join(named) if model in BASELINES else ""
            measure = tfidf if model == "tfidf" else fasttext if model == "fasttext" else ours
            yield Method(model, setting, measure, given, seeded=model != "tfidf")


def tfidf(learned: Texts, tested: Texts, seed: int, *, ngrams: int, c: float) -> dict[str, Any]:
    """Measures logistic regression on TF-IDF weights; nothing in it is random."""
    del seed
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from threadpoolctl import threadpool_limits

    start = time.perf_counter()
    vectorizer = TfidfVectorizer(sublinear_tf=True, min_df=1, ngram_range=(1, ngrams))
    model = make_pipeline(vectorizer, LogisticRegression(C=c, max_iter=1000))
    with threadpool_limits(1), warnings.catch_warnings():  # threads make it many times slower
        warnings.simplefilter("ignore", ConvergenceWarning)
        model.fit(learned.texts, learned.labels)
    seconds = time.perf_counter() - start
    right = model.predict(tested.texts) == tested.labels
    size = model[-1].coef_.size + model[-1].intercept_.size
    return {"accuracy": float(np.mean(right)), "seconds": seconds, "size": size}


def fasttext(
    learned: Texts, tested: Texts, seed: int, *, ngrams: int, epochs: int
) -> dict[str, Any]:
    """Measures fastText with one thread, so that a seed gives one result."""
    library = load_library()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "texts.txt")
        rows = zip(learned.labels.tolist(), learned.texts, strict=True)
        path.write_text("".join(f"__label__{k} {spaced(text)}\n" for k, text in rows), "utf-8")
        options = {"lr": 0.5, "dim": 100, "epoch": epochs, "wordNgrams": ngrams, "seed": seed}
        options |= {"thread": 1, "verbose": 0} | ({"bucket": 200_000} if ngrams > 1 else {})
        start = time.perf_counter()
        try:
            model = library.train_supervised(str(path), **options)
        except RuntimeError as error:  # such as "Encountered NaN."
            raise Failed(str(error)) from error
        seconds = time.perf_counter() - start
    right = []
    for text, label in zip(tested.texts, tested.labels.tolist(), strict=True):
        # the inner call: the outer one does not work with NumPy 2
        found = model.f.predict(f"{spaced(text)}\n", 1, 0.0, "strict")
        right.append([name for _, name in found] == [f"__label__{label}"])
    size = model.get_input_matrix().size + model.get_output_matrix().size
    return {"accuracy": float(np.mean(right)), "seconds": seconds, "size": size}


def ours(learned: Texts, tested: Texts, seed: int, *, arguments: str) -> dict[str, Any]:
    """Measures a training by `python -m wave_jax train` with more arguments.

    Its seconds are those of the command; those of training alone are in the record too.
    """
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        train, test, workdir = folder / "train.csv", folder / "test.csv", folder / "run"
        _write(train, learned)
        _write(test, tested)
        given = ["--data.source", train, "--data.test", test, "--data.label-column", "label"]
        given += ["--data.text-columns", "text", "--seed", seed, "--workdir", workdir]
        given += ["--train.no-baseline"]
        given += ["--data.group-column", "group"] if learned.related else []
        command = [sys.executable, "-m", "wave_jax", "train", *map(str, given)]
        start = time.perf_counter()
        done = subprocess.run(
            [*command, *shlex.split(arguments)], capture_output=True, text=True, env=environment()
        )
        seconds = time.perf_counter() - start
        if done.returncode:
            raise Failed(_reason(done.stderr) or f"exit status {done.returncode}")
        summary = json.loads((workdir / "summary.json").read_text("utf-8"))
    return {
        "accuracy": summary["test_accuracy"],
        "seconds": seconds,
        "size": summary["parameters"],
        "training_seconds": summary["seconds"],
        "validation_accuracy": summary["validation_accuracy"],
    }


def spaced(text: str) -> str:
    """Returns a text as fastText's own scripts prepare it: lower case, punctuation apart.

    >>> spaced('It\\'s "good": really!')
    "it ' s good really !"
    """
    text = _DROPPED.sub(" ", text.lower()).replace('"', "")
    return " ".join(_SPACED.sub(r" \1 ", text).split())


def versions() -> dict[str, str]:
    """Returns the versions of the packages that results may depend on."""
    found = {"wave_jax": wave_jax.__version__}
    for package in _PACKAGES:
        with suppress(metadata.PackageNotFoundError):
            found[package] = metadata.version(package)
    return found


def _reason(stderr: str) -> str:
    """Returns the last line; of a box about wrong options, the first one inside it."""
    lines = [line.strip("│ ") for line in stderr.splitlines() if line.strip("│╰─╯ ")]
    return shorten(lines[1 if stderr.startswith("╭") else -1], 300) if lines else ""


def _write(path: Path, texts: Texts) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["text", "label", "group"])
        columns = (texts.texts, texts.labels.tolist(), texts.groups.tolist())
        writer.writerows(zip(*columns, strict=True))
