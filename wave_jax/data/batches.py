"""Batches of tokenized texts: padded to a few shapes, with their distinct ids."""

from __future__ import annotations

import math
import threading
from typing import NamedTuple

import numpy as np

from wave_jax.data.shapes import DISTINCT_MULTIPLE, TOKEN_COST, Shapes, round_up
from wave_jax.data.tokenizer import Tokens
from wave_jax.errors import UserError

_WINDOW = 50  # batches whose texts are sorted by length together
_SIMULATED_BATCHES = 2000
_SIMULATED_EPOCHS = 4
_DROPOUT = 1  # separates the random stream of word dropout from that of the order


class Batch(NamedTuple):
    """Texts padded to a shape (B, L, U); NumPy on the host, JAX arrays on devices.

    With several processes, each has the distinct ids of the whole batch and its own share of the
    rows of everything else.

    Attributes:
      distinct: int32 [U], the batch's distinct ids, ascending, then table_rows, table_rows + 1, ...
      inverse: int32 [B, L], ids == distinct[inverse] where the mask is True; 0 elsewhere.
      mask: bool [B, L], True at the tokens that are read. Padding rows keep one token unmasked to
        avoid 0/0.
      labels: int32 [B]; 0 where a text has none.
      weights: float32 [B], 1 for texts, 0 for padding rows.
    """

    distinct: np.ndarray
    inverse: np.ndarray
    mask: np.ndarray
    labels: np.ndarray
    weights: np.ndarray


class BatchBuilder:
    """Builds batches from the indices of their texts; safe to call from several threads.

    Attributes:
      lengths: number of tokens of each text, int64 [texts].
      rows: those of a batch over all processes: batch_size, rounded up for the mesh.
      multiple: divides the number U of distinct ids of every batch.
    """

    def __init__(
        self,
        tokens: Tokens,
        labels: np.ndarray | None,
        *,
        batch_size: int,
        table_rows: int,
        process_index: int = 0,
        process_count: int = 1,
        mesh_multiple: int = 1,
    ) -> None:
        """Checks that everything fits together; UserError if not.

        Args:
          tokens, labels: the texts and their classes, int [texts] or None.
          batch_size: texts of a batch, over all processes.
          table_rows: rows of the embedding table; every id is less.
          process_index, process_count: this process, and those that share every batch.
          mesh_multiple: batches are padded so that it divides U and the rows of a batch.
        """
        if batch_size < 1:
            raise UserError(f"the batch size must be at least 1, got {batch_size}")
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
        self.multiple = math.lcm(DISTINCT_MULTIPLE, mesh_multiple)
        self.lengths = tokens.lengths
        self.batch_size = batch_size
        self._ids = tokens.ids
        self._starts = tokens.offsets[:-1]
        self._labels = np.zeros(len(tokens), np.int32) if labels is None else labels
        self._table_rows = table_rows
        share = self.rows // process_count
        self._own = (process_index * share, (process_index + 1) * share)
        self._lock = threading.Lock()  # guards the two scratch arrays
        self._present = np.zeros(table_rows, bool)
        self._index = np.zeros(table_rows, np.int32)

    def __len__(self) -> int:
        """Number of batches that hold every text once."""
        return -(-len(self.lengths) // self.batch_size)

    @property
    def bound(self) -> tuple[int, int]:
        """Length and number of distinct ids that no batch of these texts exceeds."""
        longest = int(self.lengths.max(initial=1))
        return longest, min(self.rows * longest, self._table_rows)

    def measure(self, texts: np.ndarray, kept: np.ndarray | None = None) -> tuple[int, int]:
        """Returns the longest text and the number of distinct ids of a batch; see `build`."""
        flat = self._flat_ids(texts)
        with self._lock:
            distinct = self._find_distinct(flat if kept is None else flat[kept])
        return int(self.lengths[texts].max(initial=1)), max(1, len(distinct))

    def build(self, texts: np.ndarray, shapes: Shapes, kept: np.ndarray | None = None) -> Batch:
        """Builds this process's share of a batch from the texts, int [at most rows], of the whole.

        Tokens where `kept`, bool [tokens of all these texts], is False are left out of the mask and
        of the distinct ids. Those that stay keep their positions.
        """
        lengths, flat = self.lengths[texts], self._flat_ids(texts)
        kept = np.ones(len(flat), bool) if kept is None else kept
        low, high = (min(edge, len(texts)) for edge in self._own)
        ends = np.concatenate([[0], np.cumsum(lengths)])
        own = slice(ends[low], ends[high])
        with self._lock:
            found = self._find_distinct(flat[kept])
            self._index[found] = np.arange(len(found), dtype=np.int32)
            indices = np.where(kept[own], self._index[flat[own]], 0)
        length, width = shapes.pick(int(lengths.max(initial=1)), max(1, len(found)))

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
    """The batches of training: `batch(step)` is a pure function of the step.

    The order of an epoch is drawn from (seed, epoch) alone. Its texts are shuffled, sorted by
    length within windows of 50 batches, so that a batch holds texts of similar length, and the
    batches are shuffled again. A remainder of fewer than `batch_size` texts, drawn at random, comes
    last. Which words are dropped is drawn from (seed, step) alone: dropped on the host, ids that no
    longer occur in a batch cost no computation.

    `shapes` are all that can occur, in any epoch.
    """

    def __init__(
        self,
        tokens: Tokens,
        labels: np.ndarray,
        *,
        seed: int,
        max_shapes: int = 7,  # AG News: U is 8 % too large on average; 10 % with 6, 6 % with 8
        token_cost: float = TOKEN_COST,
        word_dropout: float = 0.0,
        **layout: int,
    ) -> None:
        """Chooses the shapes by simulating the first epoch (a few, if they are short).

        Args:
          max_shapes: maximum number of shapes; each takes a second or so to compile.
          token_cost: time for a padded position, in those for a padded distinct id.
          word_dropout: fraction of the tokens left out of each batch; the first of a text stays.
          **layout: batch_size, table_rows and the other arguments of `BatchBuilder`.

        Raises:
          UserError: no texts, a negative seed, or as `BatchBuilder`.
        """
        if not len(tokens):
            raise UserError("there are no training texts")
        if seed < 0:
            raise UserError(f"the seed must not be negative, got {seed}")
        super().__init__(tokens, labels, **layout)
        self._seed = seed
        self.word_dropout = word_dropout
        self._newest: tuple[int, np.ndarray] = (-1, np.zeros(0, np.int64))
        self.shapes = self._fit_shapes(token_cost, max_shapes)

    def batch(self, step: int) -> Batch:
        """Returns the batch of a step, counted from 0 through all epochs."""
        texts = self.examples(step)
        return self.build(texts, self.shapes, self._kept(texts, step))

    def examples(self, step: int) -> np.ndarray:
        """Returns the indices of the texts in a step's whole batch, int64 [at most batch_size]."""
        epoch, index = divmod(step, len(self))
        newest, order = self._newest
        if newest != epoch:
            order = self._order(epoch)
            self._newest = (epoch, order)
        return order[index * self.batch_size : (index + 1) * self.batch_size]

    def _kept(self, texts: np.ndarray, step: int) -> np.ndarray | None:
        if not self.word_dropout:
            return None
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

    def _fit_shapes(self, token_cost: float, max_shapes: int) -> Shapes:
        count = min(_SIMULATED_EPOCHS * len(self), max(len(self), _SIMULATED_BATCHES))
        steps = np.linspace(0, count - 1, min(count, _SIMULATED_BATCHES)).astype(int).tolist()
        texts = ((step, self.examples(step)) for step in steps)
        sizes = [self.measure(each, self._kept(each, step)) for step, each in texts]
        return Shapes.fitted(
            *np.array(sizes).T,
            max_pairs=max_shapes,
            length_cost=token_cost * self.rows,
            bound=self.bound,
            multiple=self.multiple,
        )


class EvalBatches(BatchBuilder):
    """Every text once, the shortest first; also for prediction, where there are no labels.

    A stream of texts is tokenized some thousands at a time, each chunk with batches of its own and
    all with the same `shapes` (see `Shapes.geometric`), so that memory stays flat and nothing
    compiles after the first chunks.

    The text in row r of batch i is `order[i * batch_size + r]`, int64 [texts]; `shapes` are all
    that occur.
    """

    def __init__(
        self,
        tokens: Tokens,
        labels: np.ndarray | None,
        *,
        shapes: Shapes | None = None,
        max_shapes: int = 4,
        token_cost: float = TOKEN_COST,
        **layout: int,
    ) -> None:
        """Sorts the texts; without `shapes`, chooses them by measuring every batch.

        To `shapes`, which are compiled already, one is added if they do not hold every batch. The
        other arguments are those of `TrainBatches`.
        """
        super().__init__(tokens, labels, **layout)
        self.order = np.argsort(self.lengths, kind="stable")
        if shapes is None or shapes.holding(*self.bound) is not shapes:  # spares a stream measuring
            batches = (self.examples(index) for index in range(len(self)))
            sizes = np.array([self.measure(texts) for texts in batches] or [(1, 1)])
            if shapes is None:
                shapes = Shapes.fitted(
                    *sizes.T,
                    max_pairs=max_shapes,
                    length_cost=token_cost * self.rows,
                    multiple=self.multiple,
                )
            else:
                shapes = shapes.holding(*sizes.max(axis=0).tolist(), multiple=self.multiple)
        self.shapes = shapes

    def examples(self, index: int) -> np.ndarray:
        """Returns the indices of the texts in a batch, int64 [at most batch_size]."""
        return self.order[index * self.batch_size : (index + 1) * self.batch_size]

    def batch(self, index: int) -> Batch:
        """Returns batch `index`; the last one is padded with rows of weight 0."""
        return self.build(self.examples(index), self.shapes)
