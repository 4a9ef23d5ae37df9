"""Labelled texts as a source gives them: rows, tables, and the splits made of tables."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np

from wave_jax.data.columns import Columns, ColumnSpec
from wave_jax.data.streams import DECODE_ERRORS, Errors
from wave_jax.errors import UserError, listed, nearest, shorten

_SURROGATE = re.compile("[\ud800-\udfff]")
_WHOLE = re.compile(r"[+-]?\d+(\.0+)?")
_STREAMS = {"test": 1, "validation": 2}  # independent random streams of a seed


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
    texts: list[str | bytes | None]
    label: Any


@dataclass(frozen=True)
class Table:
    """Texts with their class names, in the order of the source.

    `origin` is what messages call the source, `columns` says where text and label came from, and
    `skipped` counts the rows left out because they have no label.
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
        found = list(clean_rows(rows, spec, errors))
        texts = [text for text, label in found if label is not None]
        labels = [label for _, label in found if label is not None]
        skipped = len(found) - len(texts)
        if not texts:
            which = f"; {skipped:,} rows have no label" if skipped else ""
            raise UserError(f"{origin} holds no rows to learn from{which}")
        if columns.untyped:
            labels = whole_numbers(labels)
        return cls(texts, labels, origin, columns, skipped)

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

    def split(self, fraction: float, seed: tuple[int, int]) -> tuple[Table, Table]:
        """Returns the rest and a random fraction of the rows: at least one row each, in order."""
        count = len(self)
        if count < 2:
            raise UserError(f"{self.origin} has too few rows to be split: {count} left")
        drawn = min(max(round(fraction * count), 1), count - 1)
        order = np.random.default_rng(seed).permutation(count)
        return self._take(order[drawn:]), self._take(order[:drawn])

    def _take(self, indices: np.ndarray) -> Table:
        chosen = np.sort(indices).tolist()
        texts, labels = [self.texts[i] for i in chosen], [self.labels[i] for i in chosen]
        return replace(self, texts=texts, labels=labels)


@dataclass(frozen=True)
class Splits:
    """The tables of a source: 'train', and 'validation' and 'test' if the source has them.

    `classes` are the class names in their order, where the source declares them.
    """

    name: str
    description: str
    tables: dict[str, Table]
    classes: tuple[str, ...] | None = None

    def completed(self, *, validation_fraction: float, test_fraction: float, seed: int) -> Splits:
        """Returns all three splits; those that are missing are drawn from the training rows.

        The draw depends on the number of rows, the fractions and the seed alone: first the test
        split, then validation from what is left.
        """
        tables = dict(self.tables)
        for name, fraction in (("test", test_fraction), ("validation", validation_fraction)):
            if name in tables:
                continue
            if not 0 < fraction < 1:
                raise UserError(f"--data.{name}-fraction is {fraction}, expected between 0 and 1")
            if seed < 0:
                raise UserError(f"--data.split-seed is {seed}, expected 0 or more")
            tables["train"], tables[name] = tables["train"].split(fraction, (seed, _STREAMS[name]))
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
    for where, values, label in rows:
        texts = [_decoded(value, errors) for value in values]
        text = encodable(" ".join(t for t in texts if t and not t.isspace()), errors, where)
        label = _decoded(label, errors)
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
        return str(value).lower()
    if isinstance(value, int) or (isinstance(value, float) and value.is_integer()):
        return str(int(value))
    shown = shorten(repr(value))
    raise UserError(f"{where}: the label {shown} is neither a whole number nor a string")


def whole_numbers(labels: list[str]) -> list[str]:
    """Drops the fraction of labels such as '1.0', if all of them are whole numbers.

    >>> whole_numbers(["1.0", "0.0"]), whole_numbers(["1.0", "1.5"])
    (['1', '0'], ['1.0', '1.5'])
    """
    are_whole = all(map(_WHOLE.fullmatch, set(labels)))
    return [label.partition(".")[0] for label in labels] if are_whole else labels


def class_names(labels: Iterable[str]) -> tuple[str, ...]:
    """Returns the distinct labels, sorted: by value if all are whole numbers, else as strings.

    >>> class_names(["10", "9", "10"]), class_names(["pos", "neg"])
    (('9', '10'), ('neg', 'pos'))
    """
    distinct = set(labels)
    are_whole = all(map(_WHOLE.fullmatch, distinct))
    return tuple(sorted(distinct, key=lambda n: (float(n) if are_whole else 0.0, n)))


def _decoded(value: Any, errors: Errors) -> Any:
    return value.decode("utf-8", DECODE_ERRORS[errors]) if isinstance(value, bytes) else value


def _is_missing(label: Any) -> bool:
    if isinstance(label, str):
        return not label.strip()
    return label is None or (isinstance(label, float) and math.isnan(label))
