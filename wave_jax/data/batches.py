"""Batches of tokenized texts: padded to a few shapes, with their distinct ids."""

from __future__ import annotations

import abc
import math
import threading
from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np

from wave_jax.data.shapes import DISTINCT_MULTIPLE, TOKEN_COST, Shapes, round_up
from wave_jax.data.tokenizer import Tokens
from wave_jax.errors import UserError

_WINDOW = 50  # batches whose texts are sorted by length together
_SIMULATED_BATCHES, _SIMULATED_EPOCHS = 2000, 4
_DROPOUT = 1  # separates the random stream of word dropout from that of the order


class Batch(NamedTuple):
    """Texts padded to a shape (B, L, U); NumPy on the host, JAX arrays on devices.

    With several processes, each has the distinct ids of the whole batch and its own share of the
    rows of everything else. Padding rows keep one token unmasked to avoid 0/0.
    """

    distinct: np.ndarray  # int32 [U], the ids used, ascending, then table_rows, table_rows + 1, ...
    inverse: np.ndarray  # int32 [B, L], ids == distinct[inverse] where mask is True, 0 elsewhere
    mask: np.ndarray  # bool [B, L], True at the tokens that are read
    labels: np.ndarray  # int32 [B]; 0 where a text has none
    weights: np.ndarray  # float32 [B], 1 for texts, 0 for padding rows


class BatchBuilder(abc.ABC):
    """Builds the batch of a step from its texts; safe to call from several threads."""

    shapes: Shapes  # all that can occur
    lengths: np.ndarray  # number of tokens of each text, int64 [texts]
    rows: int  # of a batch over all processes: batch_size, rounded up for the mesh

    def __init__(
        self,
        tokens: Tokens,
        labels: np.ndarray | None,
        *,
        batch_size: int,
        table_rows: int,
        max_shapes: int,
        token_cost: float = TOKEN_COST,
        process_index: int = 0,
        process_count: int = 1,
        mesh_multiple: int = 1,
    ) -> None:
        """Checks that everything fits together; UserError if not.

        Args:
          tokens, labels: the texts and their classes, int [texts] or None.
          batch_size: texts of a batch, over all processes.
          table_rows: rows of the embedding table; every id is less.
          max_shapes: maximum number of shapes; each takes a second or so to compile.
          token_cost: time for a padded position, in those for a padded distinct id.
          process_index, process_count: this process, and those that share every batch.
          mesh_multiple: batches are padded so that it divides U and the rows of a batch.
        """
        if batch_size % process_count:
            raise UserError(
                f"the batch size {batch_size} cannot be divided among {process_count} processes; "
                f"use a multiple of {process_count}"
            )
        if (largest := int(tokens.ids.max(initial=0))) >= table_rows:
            raise UserError(
                f"token id {largest} lies beyond the embedding table of {table_rows} rows; the "
                "tokenizer is not the one the model was made with"
            )
        self.rows = round_up(batch_size, math.lcm(mesh_multiple, process_count))
        self.lengths = tokens.lengths
        self.batch_size = batch_size
        self._multiple = math.lcm(DISTINCT_MULTIPLE, mesh_multiple)
        self._max_shapes, self._length_cost = max_shapes, token_cost * self.rows
        self._ids = tokens.ids
        self._starts = tokens.offsets[:-1]
        self._labels = np.zeros(len(tokens), np.int32) if labels is None else labels
        self._table_rows = table_rows
        share = self.rows // process_count
        self._own = (process_index * share, (process_index + 1) * share)
        self._lock = threading.Lock()  # guards the two scratch arrays
        self._present = np.zeros(table_rows, bool)
        self._index = np.zeros(table_rows, np.int32)
        self._newest: tuple[int, np.ndarray] = (-1, np.zeros(0, np.int64))

    def __len__(self) -> int:
        """Number of batches that hold every text once."""
        return -(-len(self.lengths) // self.batch_size)

    def examples(self, step: int) -> np.ndarray:
        """Returns the indices of the texts in a step's whole batch, int64 [at most batch_size]."""
        epoch, index = divmod(step, max(1, len(self)))
        newest, order = self._newest
        if newest != epoch:
            order = self._order(epoch)
            self._newest = (epoch, order)
        return order[index * self.batch_size : (index + 1) * self.batch_size]

    def batch(self, step: int) -> Batch:
        """Builds this process's share of a step's batch, in the first of `shapes` that holds it.

        Tokens that are not kept are left out of the mask and of the distinct ids. Those that stay
        keep their positions.
        """
        texts = self.examples(step)
        lengths, flat, kept = self.lengths[texts], self._flat_ids(texts), self._kept(texts, step)
        low, high = (min(edge, len(texts)) for edge in self._own)
        ends = np.concatenate([[0], np.cumsum(lengths)])
        own = slice(ends[low], ends[high])
        with self._lock:
            found = self._find_distinct(flat[kept])
            self._index[found] = np.arange(len(found), dtype=np.int32)
            indices = np.where(kept[own], self._index[flat[own]], 0)
        length, width = self.shapes.pick(int(lengths.max(initial=1)), max(1, len(found)))

        padding = np.arange(self._table_rows, self._table_rows + width - len(found))
        distinct = np.concatenate([found, padding]).astype(np.int32)
        rows, count = self._own[1] - self._own[0], high - low
        sizes = np.ones(rows, np.int64)  # tokens of each row
        sizes[:count] = lengths[low:high]
        mask = np.arange(length) < sizes[:, None]
        inverse = np.zeros((rows, length), np.int32)
        inverse[:count][mask[:count]] = indices
        mask[:count][mask[:count]] = kept[own]
        labels = np.zeros(rows, np.int32)
        labels[:count] = self._labels[texts[low:high]]
        weights = (np.arange(rows) < count).astype(np.float32)
        return Batch(distinct, inverse, mask, labels, weights)

    @abc.abstractmethod
    def _order(self, epoch: int) -> np.ndarray:
        """Returns the indices of all texts, int64 [texts], in the order of an epoch's batches."""

    def _kept(self, texts: np.ndarray, step: int) -> np.ndarray:
        """Returns which tokens of the texts are read, bool [tokens]."""
        return np.ones(int(self.lengths[texts].sum()), bool)

    def _sizes(self, steps: Iterable[int]) -> np.ndarray:
        """Returns the longest text and the number of distinct ids of each batch, int [steps, 2]."""
        sizes = [(1, 1)]
        for step in steps:
            texts = self.examples(step)
            with self._lock:
                distinct = self._find_distinct(self._flat_ids(texts)[self._kept(texts, step)])
            sizes.append((int(self.lengths[texts].max()), len(distinct)))
        return np.array(sizes[1:] or sizes)

    def _bound(self) -> tuple[int, int]:
        """Returns a length and a number of distinct ids that no batch of these texts exceeds."""
        longest = int(self.lengths.max(initial=1))
        return longest, min(self.rows * longest, self._table_rows)

    def _fit_shapes(self, steps: Iterable[int], bound: tuple[int, int] | None = None) -> Shapes:
        return Shapes.fitted(
            *self._sizes(steps).T,
            max_pairs=self._max_shapes,
            length_cost=self._length_cost,
            bound=bound,
            multiple=self._multiple,
        )

    def _flat_ids(self, texts: np.ndarray) -> np.ndarray:
        """Returns the ids of the texts, one after the other."""
        lengths = self.lengths[texts]
        shift = self._starts[texts] - (np.cumsum(lengths) - lengths)
        return self._ids[np.repeat(shift, lengths) + np.arange(lengths.sum())]

    def _find_distinct(self, flat: np.ndarray) -> np.ndarray:
        """Returns the distinct ids, ascending."""
        self._present[flat] = True
        distinct = np.flatnonzero(self._present)
        self._present[distinct] = False
        return distinct


class TrainBatches(BatchBuilder):
    """The batches of training: `batch(step)` is a pure function of the step, through all epochs.

    The order of an epoch is drawn from (seed, epoch) alone. Its texts are shuffled, sorted by
    length within windows of 50 batches, so that a batch holds texts of similar length, and the
    batches are shuffled again. A remainder of fewer than `batch_size` texts, drawn at random, comes
    last. Which words are dropped is drawn from (seed, step) alone: dropped on the host, ids that no
    longer occur in a batch cost no computation.
    """

    def __init__(
        self,
        tokens: Tokens,
        labels: np.ndarray,
        *,
        seed: int,
        word_dropout: float = 0.0,
        max_shapes: int = 7,  # AG News: U is 8 % too large on average; 10 % with 6, 6 % with 8
        **options: Any,
    ) -> None:
        """Chooses the shapes by simulating the first epoch (a few, if they are short).

        `word_dropout` is the fraction of the tokens left out of each batch; the first of a text
        stays. The other arguments, and UserError, are as in `BatchBuilder`.
        """
        if seed < 0:
            raise UserError(f"the seed must not be negative, got {seed}")
        super().__init__(tokens, labels, max_shapes=max_shapes, **options)
        self._seed = seed
        self.word_dropout = word_dropout
        count = min(_SIMULATED_EPOCHS * len(self), max(len(self), _SIMULATED_BATCHES))
        steps = np.linspace(0, count - 1, min(count, _SIMULATED_BATCHES)).astype(int)
        self.shapes = self._fit_shapes(steps.tolist(), self._bound())

    def _kept(self, texts: np.ndarray, step: int) -> np.ndarray:
        if not self.word_dropout:
            return super()._kept(texts, step)
        lengths = self.lengths[texts]
        generator = np.random.default_rng((self._seed, _DROPOUT, step))
        kept: np.ndarray = generator.random(int(lengths.sum()), np.float32) >= self.word_dropout
        kept[np.cumsum(lengths) - lengths] = True  # [CLS]
        return kept

    def _order(self, epoch: int) -> np.ndarray:
        generator = np.random.default_rng([self._seed, epoch])
        order = generator.permutation(len(self.lengths))
        full = len(order) // self.batch_size
        body, rest = np.split(order, [full * self.batch_size])
        window = np.arange(len(body)) // (_WINDOW * self.batch_size)
        body = body[np.lexsort((self.lengths[body], window))]
        batches = body.reshape(full, self.batch_size)[generator.permutation(full)]
        return np.concatenate([batches.ravel(), rest])


class EvalBatches(BatchBuilder):
    """Every text once, the shortest first; also for prediction, where there are no labels.

    A stream of texts is tokenized some thousands at a time, each chunk with batches of its own and
    all with the same `shapes` (see `Shapes.geometric`), so that memory stays flat and nothing
    compiles after the first chunks.

    The text in row r of batch i is `order[i * batch_size + r]`, int64 [texts].
    """

    def __init__(
        self,
        tokens: Tokens,
        labels: np.ndarray | None,
        *,
        shapes: Shapes | None = None,
        max_shapes: int = 4,
        **options: Any,
    ) -> None:
        """Sorts the texts; without `shapes`, chooses them by measuring every batch.

        To `shapes`, which are compiled already, one is added if they do not hold every batch. The
        other arguments are those of `BatchBuilder`.
        """
        super().__init__(tokens, labels, max_shapes=max_shapes, **options)
        self.order = np.argsort(self.lengths, kind="stable")
        if shapes is None:
            shapes = self._fit_shapes(range(len(self)))
        elif shapes.holding(*self._bound()) is not shapes:  # spares a stream the measuring
            largest = self._sizes(range(len(self))).max(axis=0).tolist()
            shapes = shapes.holding(*largest, multiple=self._multiple)
        self.shapes = shapes

    def _order(self, epoch: int) -> np.ndarray:
        return self.order
