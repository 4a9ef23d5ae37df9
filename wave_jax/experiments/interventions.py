"""What a trained network makes of texts that were tampered with: its words, or its phases."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import jax
import jax.numpy as jnp
import numpy as np

from wave_jax.data.dataset import Dataset, Split, SplitName, load_dataset
from wave_jax.inference import Classifier, load
from wave_jax.training.config import Config

_PHASES_OF = 1_024  # texts whose phases are tampered with
_AT_ONCE = 64


def examine(config: Config, shuffle: bool, workdir: Path) -> dict[str, Any]:
    """Returns which test texts a finished run gets right, and what tampering costs.

    'right' has a bit for each test text, in hexadecimal. With `shuffle`, 'shuffled_accuracy' is
    that on the same texts with their words in random order. Without, waves read linearly have
    'phases': the accuracy on the first texts 'as they are', with all phases at pi/2 ('right
    angles'), and with phases permuted among the tokens of a text ('in a text') and of a batch
    ('across texts').
    """
    classifier = load(workdir, fold=False)
    test = load_dataset(config.data).test
    right = classifier.logits(test.texts).argmax(axis=1) == test.labels
    found: dict[str, Any] = {"right": np.packbits(right).tobytes().hex()}
    if shuffle:
        shuffled = classifier.logits(shuffled_words(test.texts)).argmax(axis=1) == test.labels
        found["shuffled_accuracy"] = float(shuffled.mean())
    elif config.model.kind == "wave" and config.model.head == "linear":
        found["phases"] = _without_phases(classifier, test)
    return found


def shuffled_words(texts: Sequence[str]) -> list[str]:
    """Returns the texts with their words in random order, the same for the same texts.

    >>> sorted(shuffled_words(["to be or not to be"])[0].split())
    ['be', 'be', 'not', 'or', 'to', 'to']
    """
    rng = np.random.default_rng(0)
    return [" ".join(rng.permutation(np.array(text.split(), object))) for text in texts]


def shuffled_dataset(dataset: Dataset) -> Dataset:
    """Returns the data set with the words of every text in random order."""
    names = get_args(SplitName)
    splits: list[Split] = [getattr(dataset, name) for name in names]
    made = [Split(shuffled_words(split.texts), split.labels) for split in splits]
    return replace(dataset, **dict(zip(names, made, strict=True)))


def _without_phases(classifier: Classifier, test: Split) -> dict[str, float]:
    model, rng = classifier.model, np.random.default_rng(0)
    polar, logits = (
        jax.jit(lambda params, *x, method=name: model.apply({"params": params}, *x, method=method))
        for name in ("polar", "logits_from_polar")
    )
    order = np.argsort([len(text) for text in test.texts[:_PHASES_OF]], kind="stable")
    right: dict[str, int] = dict.fromkeys(
        ("as they are", "right angles", "in a text", "across texts"), 0
    )
    for start in range(0, len(order), _AT_ONCE):
        chosen = order[start : start + _AT_ONCE]
        ids, mask = _padded(classifier, [test.texts[i] for i in chosen])
        magnitude, phase = polar(classifier.params, ids, mask)
        turned = {
            "as they are": phase,
            "right angles": jnp.full_like(phase, jnp.pi / 2),
            "in a text": _permuted(np.asarray(phase), mask, rng, each_text=True),
            "across texts": _permuted(np.asarray(phase), mask, rng, each_text=False),
        }
        for name, phases in turned.items():
            found = logits(classifier.params, magnitude, phases, ids, mask)
            right[name] += int(np.sum(np.argmax(found, axis=1) == test.labels[chosen]))
    return {name: count / len(order) for name, count in right.items()}


def _permuted(
    phase: np.ndarray, mask: np.ndarray, rng: np.random.Generator, *, each_text: bool
) -> np.ndarray:
    """Returns phases [b, n, 2, d] permuted among the real tokens of each text, or of all."""
    out = phase.copy()
    if not each_text:
        out[mask] = rng.permutation(phase[mask])
        return out
    for row, real in zip(out, mask, strict=True):
        row[real] = rng.permutation(row[real])
    return out


def _padded(classifier: Classifier, texts: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """Returns ids int32 [b, n] and their mask, n a multiple of 64 for few compilations."""
    tokens = classifier.tokenizer.encode(texts, classifier.max_length)
    width = -(-int(tokens.lengths.max()) // 64) * 64
    mask = np.arange(width) < tokens.lengths[:, None]
    ids = np.zeros(mask.shape, np.int32)
    ids[mask] = tokens.ids
    return ids, mask
