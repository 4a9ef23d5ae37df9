"""Batches for training, in a random order, and for evaluation, in the order of length."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import numpy as np

from wave_jax.data.assembly import Assembler, Batch, WordDropout
from wave_jax.data.shapes import TOKEN_COST, Shapes
from wave_jax.data.tokens import Tokens
from wave_jax.errors import UserError

__all__ = ["Batch", "EvalBatches", "TrainBatches"]

_TRAIN_SHAPES = 7  # AG News: U is 8 % too large on average; 10 % with 6, 6 % with 8
_EVAL_SHAPES = 4
_WINDOW = 50  # batches whose texts are sorted by length together
_SIMULATED_BATCHES = 2000
_SIMULATED_EPOCHS = 4
_WORDS = 1  # sets the stream of word dropout apart from that of the order


class TrainBatches:
    """The batches of a training run: `batch(step)` is a pure function of the step.

    An epoch's order comes from (seed, epoch) alone. Its texts are shuffled, sorted by length within
    windows of 50 batches, so that a batch holds texts of about one length, and the batches are
    shuffled again. A remainder of fewer than `batch_size` texts, drawn at random, comes last.
    Which words are dropped comes from (seed, step) alone.
    """

    def __init__(
        self,
        tokens: Tokens,
        labels: np.ndarray,
        *,
        batch_size: int,
        seed: int,
        table_rows: int,
        process_index: int = 0,
        process_count: int = 1,
        mesh_multiple: int = 1,
        shapes: Shapes | None = None,
        max_shapes: int = _TRAIN_SHAPES,
        token_cost: float = TOKEN_COST,
        word_dropout: float = 0.0,
    ) -> None:
        """Chooses the shapes by simulating the first epoch (a few, if they are short).

        Args:
            tokens: the training texts, at least one.
            labels: int [texts].
            batch_size: texts of a step, over all processes.
            seed: of the order, not negative.
            table_rows: rows of the embedding table.
            process_index: this process.
            process_count: processes that share every batch.
            mesh_multiple: what the rows of a batch and U must divide by.
            shapes: shapes chosen before, which must hold every batch.
            max_shapes: most shapes to choose; each takes a second or so to compile.
            token_cost: see `Shapes.fitted`.
            word_dropout: share of the tokens left out of each batch, see `WordDropout`.

        Raises:
            UserError: no texts, or sizes that do not fit (see `Assembler`).
        """
        if not len(tokens):
            raise UserError("there are no training texts")
        if seed < 0:
            raise UserError(f"the seed must not be negative, got {seed}")
        self._assembler = Assembler(
            tokens,
            labels,
            batch_size=batch_size,
            table_rows=table_rows,
            process_index=process_index,
            process_count=process_count,
            mesh_multiple=mesh_multiple,
        )
        self._batch_size = batch_size
        self._seed = seed
        self.word_dropout = word_dropout
        """Share of the tokens that these batches leave out already."""
        self._lock = threading.Lock()
        self._newest: tuple[int, np.ndarray] = (-1, np.zeros(0, np.int64))
        self.rows = self._assembler.rows
        """Rows of a batch over all processes: batch_size, rounded up for the mesh."""
        self.shapes = shapes or self._fit_shapes(token_cost, max_shapes)
        """All shapes that can occur, in any epoch."""

    def __len__(self) -> int:
        """Steps of one epoch."""
        return -(-len(self._assembler.lengths) // self._batch_size)

    def batch(self, step: int) -> Batch:
        """Returns the batch of a step, counted from 0 through all epochs."""
        return self._assembler.batch(self.examples(step), self.shapes, self._words(step))

    def examples(self, step: int) -> np.ndarray:
        """Returns the numbers of the texts in a step's whole batch, int64 [at most batch_size]."""
        if step < 0:
            raise IndexError(f"step {step}")
        epoch, index = divmod(step, len(self))
        with self._lock:
            if self._newest[0] != epoch:
                self._newest = (epoch, self._order(epoch))
            order = self._newest[1]
        return order[index * self._batch_size : (index + 1) * self._batch_size]

    def _words(self, step: int) -> WordDropout | None:
        seed = (self._seed, _WORDS, step)
        return WordDropout(self.word_dropout, seed) if self.word_dropout else None

    def _order(self, epoch: int) -> np.ndarray:
        generator = np.random.default_rng([self._seed, epoch])
        order = generator.permutation(len(self._assembler.lengths))
        full = len(order) // self._batch_size
        whole = full * self._batch_size
        body = order[:whole]
        window = np.arange(whole) // (_WINDOW * self._batch_size)
        body = body[np.lexsort((self._assembler.lengths[body], window))]
        batches = body.reshape(full, self._batch_size)[generator.permutation(full)]
        return np.concatenate([batches.ravel(), order[whole:]])

    def _fit_shapes(self, token_cost: float, max_shapes: int) -> Shapes:
        steps = np.arange(min(_SIMULATED_EPOCHS * len(self), max(len(self), _SIMULATED_BATCHES)))
        if len(steps) > _SIMULATED_BATCHES:
            steps = steps[np.linspace(0, len(steps) - 1, _SIMULATED_BATCHES).astype(int)]
        sizes = np.array(
            [
                self._assembler.measure(self.examples(step), self._words(step))
                for step in steps.tolist()
            ]
        )
        return Shapes.fitted(
            sizes[:, 0],
            sizes[:, 1],
            rows=self.rows,
            max_pairs=max_shapes,
            bound=self._assembler.bound,
            multiple=self._assembler.multiple,
            token_cost=token_cost,
        )


class EvalBatches:
    """Every text once, in the order of length; also for prediction, where there are no labels.

    Texts that arrive in a stream are tokenised some thousands at a time, each chunk with batches of
    its own and all with the same `shapes` (see `Shapes.geometric`), so that memory stays flat and
    nothing compiles after the first chunks.
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
        shapes: Shapes | None = None,
        max_shapes: int = _EVAL_SHAPES,
        token_cost: float = TOKEN_COST,
    ) -> None:
        """Sorts the texts; without `shapes` chooses them by measuring every batch.

        Args:
            tokens: the texts, none at all allowed.
            labels: int [texts], or None.
            batch_size: texts of a batch, over all processes.
            table_rows: rows of the embedding table.
            process_index: this process.
            process_count: processes that share every batch.
            mesh_multiple: what the rows of a batch and U must divide by.
            shapes: shapes compiled before; one is added at the end if they do not hold every batch.
            max_shapes: most shapes to choose.
            token_cost: see `Shapes.fitted`.

        Raises:
            UserError: sizes that do not fit (see `Assembler`).
        """
        self._assembler = Assembler(
            tokens,
            labels,
            batch_size=batch_size,
            table_rows=table_rows,
            process_index=process_index,
            process_count=process_count,
            mesh_multiple=mesh_multiple,
        )
        self._batch_size = batch_size
        self.rows = self._assembler.rows
        """Rows of a batch over all processes: batch_size, rounded up for the mesh."""
        self.order = np.argsort(self._assembler.lengths, kind="stable")
        """Number of the text in row r of batch i: order[i * batch_size + r], int64 [texts]."""
        self.shapes = self._extend(shapes) if shapes else self._fit_shapes(token_cost, max_shapes)
        """All shapes that occur."""

    def __len__(self) -> int:
        """Batches."""
        return -(-len(self.order) // self._batch_size)

    def __iter__(self) -> Iterator[Batch]:
        return (self.batch(index) for index in range(len(self)))

    def examples(self, index: int) -> np.ndarray:
        """Returns the numbers of the texts in a batch, int64 [at most batch_size]."""
        if not 0 <= index < len(self):
            raise IndexError(f"batch {index} of {len(self)}")
        return self.order[index * self._batch_size : (index + 1) * self._batch_size]

    def batch(self, index: int) -> Batch:
        """Returns batch `index`; the last one is filled up with rows of weight 0."""
        return self._assembler.batch(self.examples(index), self.shapes)

    def _fit_shapes(self, token_cost: float, max_shapes: int) -> Shapes:
        sizes = self._sizes()
        return Shapes.fitted(
            sizes[:, 0],
            sizes[:, 1],
            rows=self.rows,
            max_pairs=max_shapes,
            multiple=self._assembler.multiple,
            token_cost=token_cost,
        )

    def _extend(self, shapes: Shapes) -> Shapes:
        if shapes.holding(*self._assembler.bound) is shapes:  # spares a stream the measuring
            return shapes
        length, distinct = self._sizes().max(axis=0)
        return shapes.holding(int(length), int(distinct), multiple=self._assembler.multiple)

    def _sizes(self) -> np.ndarray:
        sizes = [self._assembler.measure(self.examples(index)) for index in range(len(self))]
        return np.array(sizes or [(1, 1)])
