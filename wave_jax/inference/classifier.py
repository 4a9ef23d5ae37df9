"""Trained classifiers: loading one from a run's folder, and labelling texts with it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal, get_args, overload

import jax
import numpy as np
from flax import linen as nn

from wave_jax.data.batches import EvalBatches
from wave_jax.data.shapes import Shapes
from wave_jax.data.sources.hub import locate
from wave_jax.data.tokenizer import Tokens, WordPiece
from wave_jax.errors import UserError
from wave_jax.inference.lookup_table import Kept, LookupTable, supports, table_bytes, without_table
from wave_jax.models import build_model, sizes, table_rows
from wave_jax.probe.result import Of, TextProbe
from wave_jax.runs.files import load_config, load_labels, load_tokenizer
from wave_jax.runs.workdir import final_params
from wave_jax.training.compilation import matmul_precision
from wave_jax.training.config import Config
from wave_jax.training.prefetch import prefetch
from wave_jax.training.step import eval_step

_TEXTS_AT_ONCE = 4096  # tokenized together, while the ones before are computed
_MOST_TABLE_BYTES = 2**30  # of a lookup table that is made without being asked for
_SIZES = (1, 4, 16, 64, 256)  # texts in a batch
_MOST_TOKENS = 16_384  # in a batch, which bounds its memory whatever the texts' length


@dataclass(frozen=True)
class Prediction:
    """A text's most probable label, and the probability of each."""

    label: str
    probabilities: dict[str, float]


class Classifier:
    """A trained network with its tokenizer and labels, as `load(workdir)` returns it.

    A text's result does not depend on the other texts, up to rounding. Batches come in a few fixed
    shapes, each compiled when first needed; a thread tokenizes the next texts meanwhile.

    Attributes:
      model, params: the Flax module and its parameters, a nested dict.
      labels: names of the classes, in the order of the logits.
      tokenizer, config: those of the training.
      max_length: tokens of a text that are read, [CLS] and [SEP] included.
      folded_bytes: memory of the lookup table that replaces the projection, 0 without one.
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
        table: Kept = "float32",
    ) -> None:
        self.model = model
        self.params = jax.device_put(params)
        self.tokenizer = tokenizer
        self.labels = tuple(labels)
        self.config = config
        self.max_length = config.data.max_length if max_length is None else max_length
        self._forward = jax.jit(partial(eval_step, model))
        self._rows = table_rows(tokenizer.vocab_size)
        longest = tokenizer.longest(self.max_length)
        self._kept, self._table, self.folded_bytes = table, None, 0
        if table not in get_args(Kept):
            raise UserError(f"table is {table!r}, expected one of {', '.join(get_args(Kept))}")
        if fold and supports(model):
            size = table_bytes(model, self._rows, longest, table)
            if fold is True or table != "float32" or size <= _MOST_TABLE_BYTES:
                chosen: dict[str, Any] = {"cls_id": tokenizer.cls_id, "longest": longest}
                self._table = LookupTable(model, self.params, **chosen, kept=table)
                self.folded_bytes = size
        elif table != "float32":
            why = without_table(model) if fold else "there is none with fold=False (--no-fold)"
            raise UserError(f"no table in {table}: {why}")
        self._shapes = {size: Shapes.geometric(size, longest, self._rows) for size in _SIZES}

    @overload
    def predict(self, texts: str) -> Prediction: ...  # type: ignore[overload-overlap]
    @overload
    def predict(self, texts: Iterable[str]) -> list[Prediction]: ...

    def predict(self, texts: str | Iterable[str]) -> Prediction | list[Prediction]:
        """Returns the prediction for one text, or for several a list of them, in order.

        Raises:
          TypeError: one of the texts is not a string.
        """
        if isinstance(texts, str):
            return self.predict([texts])[0]
        return self._predictions(self.logits(texts))

    def predict_stream(
        self, chunks: Iterable[Sequence[str]], seen: Callable[[Tokens], object] = len
    ) -> Iterator[list[Prediction]]:
        """Yields the predictions of each list of texts, in order and as soon as possible.

        At most two lists are read and tokenized ahead, so that memory does not grow with them.
        `seen` is called with the tokens of each list before its predictions come.
        """
        for tokens in prefetch(chunks, self._encode):
            seen(tokens)
            yield self._predictions(self._logits(tokens))

    def logits(self, texts: str | Iterable[str]) -> np.ndarray:
        """Returns the logits float32 [texts, classes], or [classes] for one string.

        Raises:
          TypeError: one of the texts is not a string.
        """
        if isinstance(texts, str):
            return self.logits([texts])[0]
        texts, size = checked(texts), _TEXTS_AT_ONCE
        if len(texts) <= size:
            return self._logits(self._encode(texts))
        chunks = (texts[i : i + size] for i in range(0, len(texts), size))
        return np.concatenate([self._logits(tokens) for tokens in prefetch(chunks, self._encode)])

    def encode(self, texts: str | Iterable[str]) -> tuple[np.ndarray, np.ndarray]:
        """Returns ids int32 and mask bool, [texts, n] each; TypeError as `logits` does."""
        tokens = self._encode(checked([texts] if isinstance(texts, str) else texts))
        mask = np.arange(tokens.lengths.max(initial=0)) < tokens.lengths[:, None]
        ids = np.full(mask.shape, self.tokenizer.pad_id, np.int32)
        ids[mask] = tokens.ids
        return ids, mask

    def probe(
        self, text: str, *, label: str | None = None, of: Of = "loss", cut: bool = False
    ) -> TextProbe:
        """Returns every gradient for one text, see `wave_jax.inference.probing.probe_text`."""
        from wave_jax.inference.probing import probe_text

        return probe_text(self, text, label=label, of=of, cut=cut)

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickles what it is made of; the lookup table and the programs are made anew."""
        kept = {k: getattr(self, k) for k in ("tokenizer", "labels", "config", "max_length")}
        make = partial(type(self), **kept, fold=self._table is not None, table=self._kept)
        return make, (self.model, jax.device_get(self.params))

    def _encode(self, texts: Sequence[str]) -> Tokens:
        return self.tokenizer.encode(texts, self.max_length)

    def _logits(self, tokens: Tokens) -> np.ndarray:
        if not len(tokens):
            return np.empty((0, len(self.labels)), np.float32)
        if self._table is not None:
            return self._table(tokens)
        result = np.empty((len(tokens), len(self.labels)), np.float32)
        most = min(len(tokens), _MOST_TOKENS // int(tokens.lengths.max()))
        size = max(size for size in _SIZES if size <= max(most, 1))
        sizes = {"batch_size": size, "table_rows": self._rows}
        batches = EvalBatches(tokens, None, **sizes, shapes=self._shapes[size])
        for index in range(len(batches)):
            with matmul_precision("float32"):
                logits = self._forward(self.params, batches.batch(index))
            examples = batches.examples(index)
            result[examples] = logits[: len(examples)]
        return result

    def _predictions(self, logits: np.ndarray) -> list[Prediction]:
        wide = logits.astype(np.float64)
        shares = np.exp(wide - wide.max(axis=1, keepdims=True))
        shares /= shares.sum(axis=1, keepdims=True)
        best = wide.argmax(axis=1)
        return [
            Prediction(self.labels[k], dict(zip(self.labels, row, strict=True)))
            for k, row in zip(best, shares.tolist(), strict=True)
        ]


def load(
    workdir: str | Path,
    checkpoint: Literal["best", "last"] = "best",
    *,
    max_length: int | None = None,
    fold: bool | Literal["auto"] = "auto",
    table: Kept = "float32",
    refit: bool = True,
) -> Classifier:
    """Returns the trained classifier of a run, or of a model that `export --format hub` wrote.

    Args:
      workdir: the folder that training or export wrote, or 'hf:OWNER/NAME', a model on Hugging
        Face's hub, or in its cache where there is no network, with '@COMMIT' (or a tag) after it
        for one version. Nothing of it is executed.
      checkpoint: that of the best validation result, or the last one; the same after a refit.
      refit: whether a refit's parameters are taken, where there are any.
      max_length: tokens of a text that are read; by default as many as in training.
      fold: whether a lookup table replaces the projection where the model allows it: several times
        faster, for `Classifier.folded_bytes` of memory (188 MB for 30,522 tokens and 768
        dimensions); 'auto': up to 1 GiB.
      table: 'int8' keeps the table in a quarter to a third of the memory, and rounds what the rest
        multiplies to bfloat16: faster, and a text in a thousand or so gets another label.

    Raises:
      UserError: the folder is not a run, has no checkpoint yet, or its files do not match.
    """
    folder = locate(workdir, check=load_config)
    config = load_config(folder)
    tokenizer = load_tokenizer(folder, config.data)
    labels = load_labels(folder)
    params = final_params(folder, checkpoint, refit=refit)
    longest = config.data.max_length
    model = build_model(
        config.model,
        vocab_size=tokenizer.vocab_size,
        num_classes=len(labels),
        max_length=longest,
        sentence_end_ids=tokenizer.sentence_end_ids,
        sep_id=tokenizer.sep_id,
    )
    _check_shapes(params, model, folder)
    if max_length is not None and max_length < 3:
        raise UserError(f"max_length must be at least 3 ([CLS], a token, [SEP]); got {max_length}")
    learned = sizes(config.model).position == "learned"
    if learned and max_length is not None and max_length > longest:
        raise UserError(f"this network learned {longest} positions; got max_length {max_length}")
    fixed: dict[str, Any] = {"tokenizer": tokenizer, "labels": labels, "config": config}
    return Classifier(model, params, **fixed, max_length=max_length, fold=fold, table=table)


def checked(texts: Iterable[str]) -> list[str]:
    """Returns the texts as a list; TypeError, naming its index, where one is not a string."""
    texts = list(texts)
    for i, text in enumerate(texts):
        if not isinstance(text, str):
            raise TypeError(f"text {i} is not a str but {type(text).__name__}: {text!r:.60}")
    return texts


def _check_shapes(params: Any, model: nn.Module, folder: Path) -> None:
    """Raises UserError unless the parameters are those of the model that the files describe."""
    ids = jax.ShapeDtypeStruct((1, 4), np.int32)
    expected = jax.eval_shape(model.init, jax.random.key(0), ids)["params"]
    wanted, found = (
        {jax.tree_util.keystr(path, simple=True, separator="/"): leaf.shape for path, leaf in pairs}
        for pairs in map(jax.tree_util.tree_leaves_with_path, (expected, params))
    )
    for name in sorted(wanted.keys() | found.keys()):
        has, needs = found.get(name, "missing"), wanted.get(name, "none")
        if has != needs:
            raise UserError(
                f"{folder}: the checkpoint's {name} is {has}, but by config.json, tokenizer.json "
                f"and labels.json it is {needs}: one of these files does not belong to this run"
            )
