"""What a run says of its texts before it learns: what would make its figures mislead."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from wave_jax.data.dataset import Dataset
from wave_jax.errors import listed, shorten
from wave_jax.training.config import TrainConfig

_FEW_TEXTS = 100
_UNBALANCED = 10  # times as many texts in the most frequent class as in the rarest
_MISSING = {"-", "--", "?", ".", "na", "n/a", "n.a.", "#n/a", "nan", "null", "nil", "none"}


def cautions(dataset: Dataset, config: TrainConfig) -> list[str]:
    """Returns one-line warnings about labels, empty texts, too little data and balance."""
    found = [*_odd_names(dataset.label_names), little_data(dataset), unbalanced(dataset, config)]
    splits = (dataset.train, dataset.validation, dataset.test)
    if empty := sum(not text.strip() for split in splits for text in split.texts):
        found.append(f"{empty:,} of {sum(map(len, splits)):,} texts are empty: without any clue")
    return [f"Warning: {line}" for line in found if line]


def unbalanced(dataset: Dataset, config: TrainConfig) -> str | None:
    """Returns what to do about unbalanced classes, else None.

    They are where, of the classes that training texts have, the most frequent one has ten times the
    texts of the rarest or more.
    """
    labels, names = dataset.train.labels, dataset.label_names
    counts = np.bincount(labels, minlength=len(names))
    most = int(counts.argmax())
    least = int(np.where(counts > 0, counts, len(labels)).argmin())
    advice = [("--train.class-weights balanced", config.class_weights == "balanced")]
    advice += [("--train.select-by macro-f1", config.select_by == "macro-f1")]
    options = " and ".join(option for option, given in advice if not given)
    if not options or counts[most] < _UNBALANCED * counts[least]:
        return None
    shares = [f"{listed([names[k]])} has {counts[k] / len(labels):.2%}" for k in (most, least)]
    return (
        f"the classes are unbalanced: of the training texts {shares[0]} and {shares[1]}, so that "
        f"accuracy says little of rare ones; give {options} to count every class alike"
    )


def little_data(dataset: Dataset) -> str | None:
    """Returns what there is too little of for meaningful figures, else None."""
    learned, tested, found = dataset.train.labels, len(dataset.test), []
    if 0 < tested < _FEW_TEXTS:  # one standard error of an accuracy is 5 points or more
        found.append(
            f"{len(learned):,} texts to learn from and {tested:,} to test on, so accuracy is "
            f"uncertain by up to {50 / tested**0.5:.0f} points either way"
        )
    counts = np.bincount(learned, minlength=len(dataset.label_names))
    for what, count in (("no text", 0), ("one text", 1)):
        if names := [dataset.label_names[label] for label in np.flatnonzero(counts == count)]:
            found.append(f"{what} to learn from for {listed(names)}")
    return f"{'; '.join(found)}. More rows help" if found else None


def _odd_names(names: tuple[str, ...]) -> Iterator[str]:
    groups: dict[str, list[str]] = {}
    for name in names:
        groups.setdefault("".join(name.split()).casefold(), []).append(name)
    if found := "; ".join(listed(group) for group in groups.values() if len(group) > 1):
        what = "classes are kept apart whose names differ by case or white space alone"
        yield f"{what}: {shorten(found, 200)}"
    if missing := [name for name in names if name.strip().casefold() in _MISSING]:
        yield (
            f"{listed(missing)} may mean that a label is missing, and is learned as a class: leave "
            "such cells empty and give --data.on-unlabelled skip to leave the rows out"
        )
