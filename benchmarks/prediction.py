"""Prediction: batches of tokenized texts, one text, texts as they are, and a long stream."""

from __future__ import annotations

import time

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.report import Report
from benchmarks.setting import USUAL_PADDING, Setting, make_tokens
from benchmarks.step import TORCH
from benchmarks.workers import take_turns, workers
from wave_jax.data.tokenizer import Tokens
from wave_jax.inference import Classifier
from wave_jax.inference.lookup_table import Kept
from wave_jax.models import ModelConfig, build_model
from wave_jax.training.compilation import keep_freed_memory
from wave_jax.training.config import Config

PREDICTOR = "benchmarks.prediction:Predictor"
_FOLDED = ("ours, folded", "ours, folded in int8")
_OURS = (*_FOLDED, "ours, not folded")
_TEXTS, _SINGLES = 2000, 300
_STREAMS = (50_000, 100_000)
_WORDS, _CHUNK = 12, 8192  # words of a line of the stream, and lines of a chunk


def run(setting: Setting, repeats: int) -> Report:
    """Times batches of every implementation in turn, then single texts and streams of ours."""
    report, size = Report(), setting.batch_size
    wanted = {
        _FOLDED[0]: (PREDICTOR, setting, True),
        _FOLDED[1]: (PREDICTOR, setting, True, "int8"),
        _OURS[-1]: (PREDICTOR, setting, False),
        f"PyTorch, padded to {USUAL_PADDING}": (TORCH, setting, USUAL_PADDING),
    }
    with workers(wanted, report.notes) as running:
        for worker in running.values():
            for start in (0, 64, 128):
                worker.ask("predict", start, size)
        calls = {name: (worker, "predict", 0, size) for name, worker in running.items()}
        for name, values in take_turns(calls, 2 * repeats).items():
            report.add(f"{name}, batch of {size}", size / values, "texts/s")
            for fast in _FOLDED if name not in _FOLDED else ():
                ratio = f"{fast} / {name.removeprefix('ours, ')}, batch of {size}"
                report.add_ratio(ratio, f"{fast}, batch of {size}", f"{name}, batch of {size}")
        for name in _OURS:
            worker = running[name]
            worker.ask("single", _SINGLES)
            seconds = np.array(worker.ask("single", _SINGLES))
            report.add(f"{name}, one text after tokenization", 1e3 * seconds, "ms")
            worker.ask("texts", _TEXTS)
            rates = [_TEXTS / worker.seconds("texts", _TEXTS) for _ in range(3)]
            report.add(f"{name}, tokenization included", rates, "texts/s")
        folded = running[_FOLDED[0]]
        for name in _FOLDED:
            report.facts[f"{name}, lookup table, MB"] = running[name].ask("table_bytes") / 1e6
        for count in _STREAMS:
            report.facts[f"stream of {count:,} short lines, s"] = folded.seconds("stream", count)
            peak = folded.peak_bytes() / 1e6
            report.facts[f"peak memory after {count:,} short lines, MB"] = peak
    return report


class Predictor:
    """A classifier with random weights, otherwise as `wave_jax.load` returns it."""

    def __init__(self, setting: Setting, fold: bool, table: Kept = "float32") -> None:
        keep_freed_memory()
        texts = setting.tokenized
        config = Config(data=setting.data, model=ModelConfig(dim=setting.dim, **setting.waves()))
        model = build_model(
            config.model,
            vocab_size=texts.tokenizer.vocab_size,
            num_classes=len(texts.label_names),
            max_length=setting.data.max_length,
        )
        ids = jnp.zeros((1, 4), jnp.int32)
        self._classifier = Classifier(
            model,
            jax.jit(model.init)(jax.random.key(0), ids, ids == 0)["params"],
            tokenizer=texts.tokenizer,
            labels=texts.label_names,
            config=config,
            fold=fold,
            table=table,
        )
        self._texts = setting.held_out().texts
        self._tokens = texts.splits["validation"].tokens

    def table_bytes(self) -> int:
        """Memory of the lookup table."""
        return self._classifier.folded_bytes

    def predict(self, start: int, count: int) -> np.ndarray:
        """Returns the logits of held-out texts, already tokenized, in one batch."""
        return self._classifier._logits(self._some(start, count))

    def single(self, count: int) -> list[float]:
        """Returns the seconds that each of some texts takes alone, already tokenized."""
        seconds = []
        for tokens in [self._some(index, 1) for index in range(count)]:
            start = time.perf_counter()
            self._classifier._logits(tokens)
            seconds.append(time.perf_counter() - start)
        return seconds

    def texts(self, count: int) -> None:
        """Predicts texts as they are, tokenization included."""
        self._classifier.predict([self._texts[i % len(self._texts)] for i in range(count)])

    def stream(self, count: int) -> None:
        """Predicts a stream of short lines."""
        words = " ".join(self._texts[:200]).split()
        lines = [" ".join(words[i : i + _WORDS]) for i in range(_CHUNK)]
        chunks = (lines[: min(_CHUNK, count - at)] for at in range(0, count, _CHUNK))
        for _ in self._classifier.predict_stream(chunks):
            pass

    def _some(self, start: int, count: int) -> Tokens:
        return make_tokens([self._tokens[(start + i) % len(self._tokens)] for i in range(count)])
