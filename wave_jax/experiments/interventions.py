"""What a trained network makes of texts that were tampered with: its words, or its phases."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np

from wave_jax.data.dataset import Dataset, Split, load_dataset
from wave_jax.inference import Classifier, load
from wave_jax.training.config import Config

PHASES = ("as they are", "right angles", "in a text", "across texts")
_PHASES_OF = 1_000  # texts whose phases are tampered with


def examine(config: Config, shuffle: bool, workdir: Path) -> dict[str, Any]:
    """Returns which test texts a finished run gets right, and what tampering costs.

    'right' has a bit for each test text, in hexadecimal. With `shuffle`, 'shuffled_accuracy' is
    that on the same texts with their words in random order. Without, waves read linearly have
    'phases': the accuracy on the first texts 'as they are', with all phases at pi/2 ('right
    angles'), and with phases permuted among the tokens of a text ('in a text') and of all texts
    ('across texts').
    """
    classifier = load(workdir, fold=False)
    test = load_dataset(config.data).test
    right = classifier.logits(test.texts).argmax(axis=1) == test.labels
    found: dict[str, Any] = {"right": packed(right)}
    if shuffle:
        answers = classifier.logits(shuffled_words(test.texts)).argmax(axis=1)
        found["shuffled_accuracy"] = float(np.mean(answers == test.labels))
    elif config.model.kind == "wave" and config.model.head == "linear":
        found["phases"] = _other_phases(classifier, test)
    return found


def packed(right: np.ndarray) -> str:
    """Returns bool [texts] as a bit each, in hexadecimal."""
    return np.packbits(right).tobytes().hex()


def shuffled_words(texts: Sequence[str]) -> list[str]:
    """Returns the texts with their words in random order, the same for the same texts.

    >>> sorted(shuffled_words(["to be or not to be"])[0].split())
    ['be', 'be', 'not', 'or', 'to', 'to']
    """
    rng = np.random.default_rng(0)
    return [" ".join(rng.permutation(np.array(text.split(), object))) for text in texts]


def shuffled_dataset(dataset: Dataset) -> Dataset:
    """Returns the data set with the words of every text in random order."""

    def shuffled(split: Split) -> Split:
        return Split(shuffled_words(split.texts), split.labels)

    train, validation, test = map(shuffled, (dataset.train, dataset.validation, dataset.test))
    return replace(dataset, train=train, validation=validation, test=test)


def _other_phases(classifier: Classifier, test: Split) -> dict[str, float]:
    ids, mask = classifier.encode(test.texts[:_PHASES_OF])
    variables, rng = {"params": classifier.params}, np.random.default_rng(0)
    magnitude, phase = classifier.model.apply(variables, ids, mask, method="polar")
    phase = np.asarray(phase)
    inside, across = phase.copy(), phase.copy()
    across[mask] = rng.permutation(phase[mask])
    for row, real in zip(inside, np.asarray(mask), strict=True):
        row[real] = rng.permutation(row[real])
    right_angles = np.full_like(phase, np.pi / 2)

    def accuracy(phase: np.ndarray) -> float:
        waves = magnitude, phase, ids, mask
        logits: Any = classifier.model.apply(variables, *waves, method="logits_from_polar")
        return float(jnp.mean(jnp.argmax(logits, axis=1) == test.labels[: len(ids)]))

    turned = phase, right_angles, inside, across
    return dict(zip(PHASES, map(accuracy, turned), strict=True))
