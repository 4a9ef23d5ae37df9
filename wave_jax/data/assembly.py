"""From the tokens of some texts to one padded batch with its distinct ids."""

from __future__ import annotations

import math
import threading
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from wave_jax.data.shapes import DISTINCT_MULTIPLE, Shapes, round_up
from wave_jax.data.tokens import Tokens
from wave_jax.errors import UserError


class Batch(NamedTuple):
    """Some texts, padded to a shape (B, L, U); NumPy on the host, JAX arrays on devices.

    Of several processes, each has the distinct ids of the whole batch and its own share of the
    rows of everything else.
    """

    distinct: np.ndarray
    """int32 [U]: the batch's distinct ids, ascending, then table_rows, table_rows + 1, ..."""
    inverse: np.ndarray
    """int32 [B, L]: ids == distinct[inverse] where the mask holds; 0 elsewhere."""
    mask: np.ndarray
    """bool [B, L]: True at the tokens that are read. A row that fills up has one, so that nothing
    divides by 0."""
    labels: np.ndarray
    """int32 [B]; 0 where a text has none."""
    weights: np.ndarray
    """float32 [B]: 1 for texts, 0 for rows that fill up."""


@dataclass(frozen=True)
class WordDropout:
    """Which tokens of one batch are left out: all processes draw the same.

    Ids left out everywhere in a batch are none of its distinct ids, so nothing is computed for
    them, where a mask drawn on the device would only hide what was computed.
    """

    rate: float
    """Share of the tokens left out; a text's first, [CLS], stays."""
    seed: tuple[int, ...]
    """Of the batch."""

    def kept(self, lengths: np.ndarray) -> np.ndarray:
        """Returns a bool for every token of texts of these lengths, one after the other."""
        kept = np.random.default_rng(self.seed).random(int(lengths.sum()), np.float32) >= self.rate
        kept[np.cumsum(lengths) - lengths] = True
        return kept


class Assembler:
    """Builds batches from the numbers of their texts; safe to call from several threads."""

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
        """Checks that everything fits together.

        Args:
            tokens: the texts.
            labels: int [texts], or None.
            batch_size: texts of a batch, over all processes.
            table_rows: rows of the embedding table; every id lies below.
            process_index: this process, 0 <= process_index < process_count.
            process_count: processes that share every batch.
            mesh_multiple: what the rows of a batch and U must divide by; rows that fill up are
                added where batch_size does not.

        Raises:
            UserError: the batch size cannot be shared out, or an id lies beyond the table.
            ValueError: labels or process numbers that do not fit.
        """
        if batch_size < 1:
            raise UserError(f"the batch size must be at least 1, got {batch_size}")
        if batch_size % process_count:
            raise UserError(
                f"the batch size {batch_size} cannot be shared out over {process_count} processes; "
                f"take a multiple of {process_count}"
            )
        if not 0 <= process_index < process_count:
            raise ValueError(f"process {process_index} of {process_count}")
        if labels is not None and len(labels) != len(tokens):
            raise ValueError(f"{len(tokens)} texts but {len(labels)} labels")
        if len(tokens.ids) and int(tokens.ids.max()) >= table_rows:
            raise UserError(
                f"token id {int(tokens.ids.max())} lies beyond the embedding table of {table_rows} "
                "rows; the tokenizer is not the one the model was made with"
            )
        self.rows = round_up(batch_size, math.lcm(mesh_multiple, process_count))
        """Rows of a batch, over all processes."""
        self.multiple = math.lcm(DISTINCT_MULTIPLE, mesh_multiple)
        """What every U divides by."""
        self.lengths = tokens.lengths
        """Tokens of each text, int64 [texts]."""
        self._ids = tokens.ids
        self._starts = tokens.offsets[:-1]
        self._labels = labels
        self._table_rows = table_rows
        share = self.rows // process_count
        self._own = (process_index * share, (process_index + 1) * share)
        self._lock = threading.Lock()  # guards the two scratch arrays
        self._present = np.zeros(table_rows, bool)
        self._place = np.zeros(table_rows, np.int32)

    @property
    def bound(self) -> tuple[int, int]:
        """Length and distinct ids that no batch of these texts can exceed."""
        longest = int(self.lengths.max(initial=1))
        return longest, min(self.rows * longest, self._table_rows)

    def measure(self, examples: np.ndarray, words: WordDropout | None = None) -> tuple[int, int]:
        """Returns the longest text and the number of distinct ids of a batch; see `batch`."""
        lengths = self.lengths[examples]
        flat = self._gather(examples, lengths)
        if words is not None:
            flat = flat[words.kept(lengths)]
        with self._lock:
            found = self._find_distinct(flat)
            self._present[found] = False
        return int(lengths.max(initial=1)), max(1, len(found))

    def batch(
        self, examples: np.ndarray, shapes: Shapes, words: WordDropout | None = None
    ) -> Batch:
        """Builds this process's share of the batch of `examples`, int [at most rows].

        With `words`, tokens are left out of the mask and of the distinct ids; those that stay keep
        their places.
        """
        lengths = self.lengths[examples]
        flat = self._gather(examples, lengths)
        kept_words = np.ones(len(flat), bool) if words is None else words.kept(lengths)
        low, high = (min(edge, len(examples)) for edge in self._own)
        ends = np.concatenate([[0], np.cumsum(lengths)])
        own = slice(ends[low], ends[high])
        with self._lock:
            found = self._find_distinct(flat if words is None else flat[kept_words])
            self._present[found] = False
            self._place[found] = np.arange(len(found), dtype=np.int32)
            places = np.where(kept_words[own], self._place[flat[own]], 0)
        length, width = shapes.pick(int(lengths.max(initial=1)), max(1, len(found)))

        distinct = np.arange(self._table_rows - len(found), self._table_rows - len(found) + width)
        distinct[: len(found)] = found
        rows = self._own[1] - self._own[0]
        kept = np.ones(rows, np.int64)  # tokens of each row
        kept[: high - low] = lengths[low:high]
        mask = np.arange(length) < kept[:, None]
        inverse = np.zeros((rows, length), np.int32)
        inverse[: high - low][mask[: high - low]] = places
        mask[: high - low][mask[: high - low]] = kept_words[own]
        labels = np.zeros(rows, np.int32)
        if self._labels is not None:
            labels[: high - low] = self._labels[examples[low:high]]
        weights = np.zeros(rows, np.float32)
        weights[: high - low] = 1
        return Batch(distinct.astype(np.int32), inverse, mask, labels, weights)

    def _gather(self, examples: np.ndarray, lengths: np.ndarray) -> np.ndarray:
        ends = np.cumsum(lengths)
        total = int(ends[-1]) if len(ends) else 0
        shift = self._starts[examples] - (ends - lengths)
        return self._ids[np.repeat(shift, lengths) + np.arange(total)]

    def _find_distinct(self, flat: np.ndarray) -> np.ndarray:
        """Returns the distinct ids, ascending, and leaves their flags set."""
        self._present[flat] = True
        return np.flatnonzero(self._present)
