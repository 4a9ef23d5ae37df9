"""Prediction with wave_jax, as `wave_jax.load` prepares it; the weights are random."""

from __future__ import annotations

import resource
import sys
import time

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.data import Setting
from wave_jax.data.tokenizer import WordPiece
from wave_jax.data.tokenizer import Tokens
from wave_jax.inference import Classifier
from wave_jax.models import ModelConfig, build_model
from wave_jax.training.compilation import keep_freed_memory
from wave_jax.training.config import Config

_WORDS = 12  # of a short line


class Predictor:
    """A classifier with random weights."""

    def __init__(self, setting: Setting, fold: bool) -> None:
        keep_freed_memory()
        texts = setting.texts
        config = Config(data=setting.data, model=ModelConfig(dim=setting.dim))
        model = build_model(
            config.model,
            vocab_size=texts.vocab_size,
            num_classes=texts.num_classes,
            max_length=setting.data.max_length,
        )
        ids = jnp.zeros((1, 4), jnp.int32)
        start = time.perf_counter()
        self._classifier = Classifier(
            model,
            jax.jit(model.init)(jax.random.key(0), ids, ids == 0)["params"],
            tokenizer=WordPiece.from_json(texts.tokenizer),
            labels=[str(index) for index in range(texts.num_classes)],
            config=config,
            fold=fold,
        )
        self.load_seconds = time.perf_counter() - start
        self._texts = list(texts.held_texts)
        self._tokens = texts.held_tokens

    def table_bytes(self) -> int:
        """Memory of the lookup table."""
        return self._classifier.folded_bytes

    def predict(self, start: int, count: int) -> np.ndarray:
        """Returns the logits of held-out texts, tokenised before, in one batch."""
        return self._classifier._logits(self._some(start, count))

    def texts(self, count: int) -> None:
        """Predicts texts as they are, tokenisation included."""
        self._classifier.predict([self._texts[i % len(self._texts)] for i in range(count)])

    def one(self, count: int) -> list[float]:
        """Returns the seconds that single texts take, tokenised before, one after the other."""
        singles = [self._some(index, 1) for index in range(count)]
        seconds = []
        for tokens in singles:
            start = time.perf_counter()
            self._classifier._logits(tokens)
            seconds.append(time.perf_counter() - start)
        return seconds

    def memory_of_lines(self, counts: list[int]) -> list[tuple[float, int]]:
        """Returns seconds and the process's peak bytes after streams of so many short lines."""
        words = " ".join(self._texts[:200]).split()
        lines = [" ".join(words[i : i + _WORDS]) for i in range(8192)]
        found = []
        for count in counts:
            start = time.perf_counter()
            chunks = (lines[: min(8192, count - at)] for at in range(0, count, 8192))
            for _ in self._classifier.predict_stream(chunks):
                pass
            unit = 1 if sys.platform == "darwin" else 1024
            peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
            found.append((time.perf_counter() - start, peak))
        return found

    def _some(self, start: int, count: int) -> Tokens:
        chosen = [self._tokens[(start + i) % len(self._tokens)] for i in range(count)]
        offsets = np.concatenate([[0], np.cumsum([len(ids) for ids in chosen])]).astype(np.int64)
        return Tokens(np.concatenate(chosen), offsets, 0)
