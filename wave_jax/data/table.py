"""Labelled texts as a source gives them: rows, tables, and the splits made of tables."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np

from wave_jax.data.columns import Columns, ColumnSpec
from wave_jax.data.streams import Errors
from wave_jax.errors import UserError, listed, nearest, shorten

_SURROGATE = re.compile("[\ud800-\udfff]")
_WHOLE = re.compile(r"[+-]?\d+(\.0+)?")
_TEST, _VALIDATION = 1, 2  # independent random streams of a seed


class Where(NamedTuple):
    """Identifies a row of a source in messages, so that it can be found in an editor.

    >>> str(Where("mail.csv", 2, 3))
    'mail.csv, row 2 (line 3)'
    """

    origin: str
    row: int
    line: int | None = None

    def __str__(self) -> str:
        line = "" if self.line is None else f" (line {self.line})"
        return f"{self.origin}, row {self.row}{line}"


class Row(NamedTuple):
    """The values of a row that are read, as they stand in the file."""

    where: Where
    texts: list[str]
    label: Any


@dataclass(frozen=True)
class Table:
    """Labelled texts in the order of the source.

    Attributes:
      texts: the texts.
      labels: the class names, as written in the source.
      origin: what messages call the source.
      columns: where text and label came from.
      skipped: number of rows left out because they have no label.
    """

    texts: list[str]
    labels: list[str]
    origin: str
    columns: Columns
    skipped: int = 0

    def __len__(self) -> int:
        return len(self.texts)

    @classmethod
    def collect(
        cls, origin: str, columns: Columns, rows: Iterable[Row], spec: ColumnSpec, errors: Errors
    ) -> Table:
        """Reads all rows into memory; those without a label are left out and counted.

        Raises:
          UserError: a row cannot be used, or none has a label.
        """
        texts: list[str] = []
        labels: list[str] = []
        skipped = 0
        for text, label in clean_rows(rows, spec, errors):
            if label is None:
                skipped += 1
            else:
                texts.append(text)
                labels.append(label)
        if not texts:
            which = f"; {skipped:,} rows have no label" if skipped else ""
            raise UserError(f"{origin} holds no rows to learn from{which}")
        if columns.untyped:
            labels = whole_numbers(labels)
        return cls(texts, labels, origin, columns, skipped)

    def take(self, indices: np.ndarray) -> Table:
        """Returns the rows at `indices` (int [n])."""
        texts = [self.texts[i] for i in indices]
        return replace(self, texts=texts, labels=[self.labels[i] for i in indices])

    def label_indices(self, classes: Sequence[str]) -> np.ndarray:
        """Returns the index in `classes` of each label, int32 [rows].

        Raises:
          UserError: a label is none of `classes`; the message names the row and the nearest class.
        """
        index = {name: i for i, name in enumerate(classes)}
        try:
            return np.fromiter((index[label] for label in self.labels), np.int32, len(self))
        except KeyError as error:
            label = str(error.args[0])
        raise UserError(
            f"{Where(self.origin, self.labels.index(label) + 1)}: the label "
            f"{shorten(repr(label))} is not among the training labels "
            f"({listed(classes)}){nearest(label, classes)}"
        )


@dataclass(frozen=True)
class Splits:
    """The tables of a source: 'train', and 'validation' and 'test' if the source has them.

    Attributes:
      name: the name of the source.
      description: where the texts come from, one line.
      tables: the table of each split.
      classes: class names in their order, where the source declares them.
    """

    name: str
    description: str
    tables: dict[str, Table]
    classes: tuple[str, ...] | None = None

    @property
    def train(self) -> Table:
        """The training split, or the whole table of a source without splits."""
        return self.tables["train"]

    def completed(self, *, validation_fraction: float, test_fraction: float, seed: int) -> Splits:
        """Returns all three splits; those that are missing are drawn from the training rows.

        Rows keep their order within a split. The draw depends on the number of rows, the fractions
        and the seed alone: first the test split, then validation from what is left.
        """
        tables = dict(self.tables)
        for split, fraction, stream in (
            ("test", test_fraction, _TEST),
            ("validation", validation_fraction, _VALIDATION),
        ):
            if split not in tables:
                option = f"--data.{split}-fraction"
                held_out, rest = _random_split(tables["train"], fraction, (seed, stream), option)
                tables |= {"train": rest, split: held_out}
        return replace(self, tables=tables)


def remarks(*tables: Table, columns: bool = True) -> str:
    """Returns what a description says about tables besides their sizes."""
    skipped = sum(table.skipped for table in tables)
    said = [str(tables[0].columns)] if columns else []
    said += [f"{skipped:,} rows without a label left out"] if skipped else []
    return "".join(f"; {each}" for each in said if each)


def clean_rows(
    rows: Iterable[Row], spec: ColumnSpec, errors: Errors
) -> Iterator[tuple[str, str | None]]:
    """Yields the text and the class name of each row; None if it has no label or none is read.

    Raises:
      UserError: a label is missing or unusable, or a text is not UTF-8; the message names the row.
    """
    for where, texts, label in rows:
        text = encodable(" ".join(t for t in texts if t and not t.isspace()), errors, where)
        if spec.unlabelled == "ignore" or (spec.unlabelled == "skip" and _is_missing(label)):
            yield text, None
        else:
            yield text, encodable(class_name(label, where), errors, where)


def encodable(text: str, errors: Errors, where: Where) -> str:
    """Returns `text` if it can be written as UTF-8; else raises or substitutes U+FFFD.

    Bad bytes arrive here as lone surrogates (see `streams.DECODE_ERRORS`); JSON can spell them too.
    """
    if text.isascii() or not (found := _SURROGATE.search(text)):
        return text
    if errors == "replace":
        return _SURROGATE.sub("\N{REPLACEMENT CHARACTER}", text)
    code = ord(found.group())
    what = f"byte 0x{code - 0xDC00:02X}" if 0xDC80 <= code <= 0xDCFF else f"surrogate U+{code:X}"
    raise UserError(
        f"{where}: not valid UTF-8 ({what}); convert the file to UTF-8, "
        "or pass --data.errors replace to substitute U+FFFD"
    )


def class_name(value: Any, where: Where) -> str:
    """Returns the class that a label names: stripped strings, whole numbers, true and false.

    Raises:
      UserError: the label is missing, empty, a fraction, or not a single value.

    >>> [class_name(value, Where("x", 1)) for value in (3.0, True, " pos ")]
    ['3', 'true', 'pos']
    """
    if _is_missing(value):
        what = "empty" if isinstance(value, str) else f"missing ({value})"
        raise UserError(
            f"{where}: the label is {what}; every row needs one, or --data.on-unlabelled skip to "
            "leave such rows out"
        )
    if isinstance(value, str):
        return value.strip()
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int) or (isinstance(value, float) and value.is_integer()):
        return str(int(value))
    shown = shorten(repr(value))
    raise UserError(f"{where}: the label {shown} is neither a whole number nor a string")


def whole_numbers(labels: list[str]) -> list[str]:
    """Drops the fraction of labels such as '1.0', if all of them are whole numbers.

    >>> whole_numbers(["1.0", "0.0"]), whole_numbers(["1.0", "1.5"])
    (['1', '0'], ['1.0', '1.5'])
    """
    distinct = set(labels)
    if any("." in label for label in distinct) and all(map(_WHOLE.fullmatch, distinct)):
        return [label.partition(".")[0] for label in labels]
    return labels


def class_names(labels: Iterable[str]) -> tuple[str, ...]:
    """Returns the distinct labels, sorted: by value if all are whole numbers, else as strings.

    >>> class_names(["10", "9", "10"]), class_names(["pos", "neg"])
    (('9', '10'), ('neg', 'pos'))
    """
    distinct = set(labels)
    if all(map(_WHOLE.fullmatch, distinct)):
        return tuple(sorted(distinct, key=lambda label: (float(label), label)))
    return tuple(sorted(distinct))


def _is_missing(label: Any) -> bool:
    if isinstance(label, str):
        return not label.strip()
    return label is None or (isinstance(label, float) and math.isnan(label))


def _random_split(
    table: Table, fraction: float, seed: tuple[int, int], option: str
) -> tuple[Table, Table]:
    """Returns the rows drawn and the rest: at least one row each."""
    if not 0 < fraction < 1:
        raise UserError(f"{option} is {fraction}, expected a fraction between 0 and 1")
    if seed[0] < 0:
        raise UserError(f"--data.split-seed is {seed[0]}, expected 0 or more")
    count = len(table)
    if count < 2:
        raise UserError(f"{table.origin} has too few rows to be split: {count} left")
    drawn = min(max(round(fraction * count), 1), count - 1)
    order = np.random.default_rng(seed).permutation(count)
    return table.take(np.sort(order[:drawn])), table.take(np.sort(order[drawn:]))
