"""A trained network that labels texts."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal, overload

import jax
import numpy as np
from flax import linen as nn

from wave_jax.data.batches import EvalBatches
from wave_jax.data.shapes import Shapes
from wave_jax.data.tokenizer import WordPiece
from wave_jax.data.tokenizer import Tokens
from wave_jax.inference.lookup_table import Folded, can_fold, folded_bytes
from wave_jax.models import table_rows
from wave_jax.training.compilation import matmul_precision
from wave_jax.training.config import Config
from wave_jax.training.prefetch import prefetch
from wave_jax.training.step import make_eval_step

_TEXTS_AT_ONCE = 4096  # tokenised at once, while those before are computed
_MOST_FOLDED = 2**30  # bytes of lookup table that are taken without being asked for
_MOST_TEXTS = 256  # in a batch
_MOST_TOKENS = 16_384  # in a batch, so that its memory does not depend on the texts' length


@dataclass(frozen=True)
class Prediction:
    """A text's most probable label, and the probability of each."""

    label: str
    probabilities: dict[str, float]


class Classifier:
    """A trained network with its tokenizer and labels; `wave_jax.load(workdir)` makes one.

    A text's result does not depend on the texts beside it, beyond rounding. Batches come in a few
    fixed shapes, each compiled when it is first needed. Texts are tokenised by a thread while those
    before them are computed.

    Attributes:
      model: the Flax module.
      params: its parameters, a nested dict.
      tokenizer: texts to ids.
      labels: names of the classes, in the order of the logits.
      config: the configuration of the run.
      max_length: pieces of a text that are read, [CLS] and [SEP] included.
      folded_bytes: memory of the lookup table that stands for the projection (`Folded`), 0
        without one.
    """

    def __init__(
        self,
        model: nn.Module,
        params: Any,
        *,
        tokenizer: WordPiece,
        labels: Sequence[str],
        config: Config,
        max_length: int | None = None,
        fold: bool | Literal["auto"] = "auto",
    ) -> None:
        self.model = model
        self.params = jax.device_put(params)
        self.tokenizer = tokenizer
        self.labels = tuple(labels)
        self.config = config
        self.max_length = config.data.max_length if max_length is None else max_length
        self._forward = jax.jit(make_eval_step(model))
        self._rows = table_rows(tokenizer.vocab_size)
        self._folded: Folded | None = None
        self.folded_bytes = 0
        if fold and can_fold(model):
            size = folded_bytes(model, self._rows)
            if fold != "auto" or size <= _MOST_FOLDED:
                self.folded_bytes = size
                self._folded = Folded(model, self.params, cls_id=tokenizer.cls_id)
        self._shapes = {
            size: Shapes.geometric(size, self.max_length, self._rows)
            for size in (1, max(1, min(_MOST_TEXTS, _MOST_TOKENS // self.max_length)))
        }

    @overload
    def predict(self, texts: str) -> Prediction: ...  # type: ignore[overload-overlap]
    @overload
    def predict(self, texts: Iterable[str]) -> list[Prediction]: ...

    def predict(self, texts: str | Iterable[str]) -> Prediction | list[Prediction]:
        """Returns the prediction for one text, or a list of them, in order, for several.

        Raises:
          TypeError: something among the texts is not a string.
        """
        if isinstance(texts, str):
            return self.predict([texts])[0]
        return self._named(self.logits(texts))

    def predict_stream(self, chunks: Iterable[Sequence[str]]) -> Iterator[list[Prediction]]:
        """Yields the predictions of each list of texts, in order, as soon as they are there.

        A thread takes lists from `chunks` and tokenises them while those before are computed; two
        wait at most, so memory does not depend on how many come.
        """
        for tokens in prefetch(chunks, self._encode):
            yield self._named(self._logits(tokens))

    def _named(self, logits: np.ndarray) -> list[Prediction]:
        wide = logits.astype(np.float64)
        shares = np.exp(wide - wide.max(axis=1, keepdims=True))
        shares /= shares.sum(axis=1, keepdims=True)
        best = wide.argmax(axis=1)
        return [
            Prediction(self.labels[k], dict(zip(self.labels, row, strict=True)))
            for k, row in zip(best, shares.tolist(), strict=True)
        ]

    def logits(self, texts: str | Iterable[str]) -> np.ndarray:
        """Returns the logits float32 [texts, classes], or [classes] for one string.

        Raises:
          TypeError: something among the texts is not a string.
        """
        if isinstance(texts, str):
            return self.logits([texts])[0]
        checked = _strings(texts)
        if len(checked) <= _TEXTS_AT_ONCE:
            return self._logits(self._encode(checked))
        starts = range(0, len(checked), _TEXTS_AT_ONCE)
        parts = (checked[start : start + _TEXTS_AT_ONCE] for start in starts)
        return np.concatenate([self._logits(tokens) for tokens in prefetch(parts, self._encode)])

    def _encode(self, texts: Sequence[str]) -> Tokens:
        return self.tokenizer.encode(texts, self.max_length)

    def _logits(self, tokens: Tokens) -> np.ndarray:
        if not len(tokens):
            return np.empty((0, len(self.labels)), np.float32)
        if self._folded is not None:
            return self._folded(tokens)
        result = np.empty((len(tokens), len(self.labels)), np.float32)
        size = min(self._shapes) if len(tokens) == 1 else max(self._shapes)
        batches = EvalBatches(
            tokens, None, batch_size=size, table_rows=self._rows, shapes=self._shapes[size]
        )
        for index in range(len(batches)):
            with matmul_precision("float32"):
                logits = self._forward(self.params, batches.batch(index))
            places = batches.examples(index)
            result[places] = logits[: len(places)]
        return result


def _strings(texts: Iterable[str]) -> list[str]:
    checked = list(texts)
    for place, text in enumerate(checked):
        if not isinstance(text, str):
            raise TypeError(f"text {place} is not a str but {type(text).__name__}: {text!r:.60}")
    return checked
