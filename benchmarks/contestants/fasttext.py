"""fastText, the C++ library: not the same network, but the quickest that users know."""

from __future__ import annotations

import importlib.util
import os
import tempfile
from pathlib import Path

from benchmarks.data import Setting
from benchmarks.workers import NotInstalled

if importlib.util.find_spec("fasttext") is None:
    raise NotInstalled("fastText is not installed: it is left out (pip install fasttext-wheel)")

import fasttext


class Model:
    """fastText's classifier with its own settings: 100 dimensions, one thread a core."""

    def __init__(self, setting: Setting) -> None:
        texts = setting.texts
        self._lines = [text.replace("\n", " ") for text in texts.held_texts]
        labels = texts.held_labels.tolist()
        self._folder = tempfile.TemporaryDirectory()
        self._path = Path(self._folder.name, "texts.txt")
        rows = (f"__label__{k} {line}" for k, line in zip(labels, self._lines, strict=True))
        self._path.write_text("\n".join(rows) + "\n", encoding="utf-8")
        self.train(1)

    def texts(self) -> int:
        """How many texts `train` learns from in an epoch."""
        return len(self._lines)

    def train(self, epochs: int) -> None:
        """Learns, reading the texts from a file."""
        threads = len(os.sched_getaffinity(0))
        self._model = fasttext.train_supervised(
            str(self._path), epoch=epochs, thread=threads, verbose=0
        )

    def predict(self, count: int) -> None:
        """Predicts texts as they are, one after the other, as it does."""
        for index in range(count):
            # the inner call: the outer one does not work with NumPy 2
            self._model.f.predict(self._lines[index % len(self._lines)] + "\n", 1, 0.0, "strict")
