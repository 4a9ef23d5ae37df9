"""For scale: fastText's rates of training and prediction beside ours (its package is optional)."""

from __future__ import annotations

import ctypes
import importlib
import os
import platform
import tempfile
from pathlib import Path
from types import ModuleType

from benchmarks.prediction import PREDICTOR
from benchmarks.report import Report
from benchmarks.setting import Setting
from benchmarks.step import WAVE
from benchmarks.workers import NotInstalled, workers

_EPOCHS, _LINES, _TEXTS = 5, 20_000, 2000
# M_PERTURB of mallopt(3), 255 for zeros: fasttext 0.9.3 reads memory before it has written it, and
# where that is not zero often ends with "Encountered NaN"
_ZERO_FRESH_MEMORY = -6, 255


def run(setting: Setting, repeats: int) -> Report:
    """Times texts a second of both; prediction includes tokenization, our training does not."""
    report, turns = Report(), max(3, repeats // 2)
    wanted = {
        "fastText": ("benchmarks.fasttext:FastText", setting),
        "ours": (PREDICTOR, setting, True),
        "ours, training": (WAVE, setting),
    }
    with workers(wanted, report.notes) as running:
        if "fastText" not in running:
            return report
        fast, ours, training = running.values()
        texts = fast.ask("texts") * _EPOCHS
        ours.ask("texts", _TEXTS)
        rates = {
            "fastText, training": [texts / fast.seconds("train", _EPOCHS) for _ in range(turns)],
            "ours, training": [
                setting.batch_size / training.seconds("step") for _ in range(3 * turns)
            ],
            "fastText, prediction": [
                _LINES / fast.seconds("predict", _LINES) for _ in range(turns)
            ],
            "ours, prediction": [_TEXTS / ours.seconds("texts", _TEXTS) for _ in range(turns)],
        }
    for name, values in rates.items():
        report.add(name, values, "texts/s")
    for what in ("training", "prediction"):
        report.add_ratio(f"ours / fastText, {what}", f"ours, {what}", f"fastText, {what}")
    return report


def load_library() -> ModuleType:
    """Imports fastText, whose errors with memory it works around; NotInstalled without it."""
    try:
        library = importlib.import_module("fasttext")
    except ImportError:
        raise NotInstalled(
            "fastText is not installed and left out (pip install fasttext)"
        ) from None
    if platform.libc_ver()[0] == "glibc":
        ctypes.CDLL(None).mallopt(*_ZERO_FRESH_MEMORY)
    return library


class FastText:
    """fastText's classifier with its own settings: 100 dimensions, one thread a core."""

    def __init__(self, setting: Setting) -> None:
        self._library = load_library()
        split = setting.held_out()
        self._lines = [text.replace("\n", " ") for text in split.texts]
        self._folder = tempfile.TemporaryDirectory()
        self._path = Path(self._folder.name, "texts.txt")
        rows = zip(split.labels.tolist(), self._lines, strict=True)
        written = "".join(f"__label__{label} {line}\n" for label, line in rows)
        self._path.write_text(written, encoding="utf-8")
        self.train(1)

    def texts(self) -> int:
        """How many texts `train` learns from in an epoch."""
        return len(self._lines)

    def train(self, epochs: int) -> None:
        """Trains, reading the texts from a file."""
        threads = len(os.sched_getaffinity(0))
        self._model = self._library.train_supervised(
            str(self._path), epoch=epochs, thread=threads, verbose=0
        )

    def predict(self, count: int) -> None:
        """Predicts texts as they are, one after the other, which is all it offers."""
        for index in range(count):
            # the inner call: the outer one does not work with NumPy 2
            self._model.f.predict(self._lines[index % len(self._lines)] + "\n", 1, 0.0, "strict")
