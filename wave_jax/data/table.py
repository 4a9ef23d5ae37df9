"""The rows of a file, read one after the other, in memory that does not grow with the file."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

from wave_jax.data.columns import ColumnSpec
from wave_jax.data.rows import (
    Errors,
    Rows,
    Where,
    encodable,
    is_missing,
    join_pieces,
    label_text,
    whole_numbers,
)
from wave_jax.errors import UserError


class Row(NamedTuple):
    """A text and its label; None where there is none, or none was asked for."""

    text: str
    label: str | None


@dataclass(frozen=True)
class Table:
    """A file whose columns are known and whose rows are still to be read, once.

    `origin`, `columns`, `zhang` and `names` are as in `Rows`; `written_numbers` says that labels
    are written text, so '1.0' may be the class 1.
    """

    origin: str
    columns: str
    rows: Iterator[Row]
    zhang: bool = False
    names: tuple[str, ...] | None = None
    written_numbers: bool = False

    def collect(self) -> Rows:
        """Reads all rows into memory; those without a label are left out and counted.

        Raises:
          UserError: the file cannot be read to its end, or no row is left.
        """
        texts: list[str] = []
        labels: list[str] = []
        skipped = 0
        for text, label in self.rows:
            if label is None:
                skipped += 1
            else:
                texts.append(text)
                labels.append(label)
        if not texts:
            which = f"; {skipped:,} rows have no label" if skipped else ""
            raise UserError(f"{self.origin} holds no rows to learn from{which}")
        if self.written_numbers:
            labels = whole_numbers(labels)
        return Rows(texts, labels, self.origin, self.names, self.zhang, self.columns, skipped)


def make_row(
    pieces: list[str], label: Any, where: Where, wanted: ColumnSpec, errors: Errors
) -> Row:
    """Returns the row of these text columns, its label read as `wanted.unlabelled` says.

    Raises:
      UserError: the label is missing or none, or a text cannot be written as UTF-8.
    """
    text = encodable(join_pieces(pieces), errors, where)
    if wanted.unlabelled == "ignore" or (wanted.unlabelled == "skip" and is_missing(label)):
        return Row(text, None)
    return Row(text, encodable(label_text(label, where), errors, where))
