"""Labelled texts as a source gives them, and the classes that their labels name."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np

from wave_jax.errors import UserError, listed, nearest, shorten

Errors = Literal["strict", "replace"]

_SURROGATE = re.compile("[\ud800-\udfff]")
_WHOLE = re.compile(r"[+-]?\d+(\.0+)?")


@dataclass(frozen=True)
class Rows:
    """Texts with their labels, in the order of the source.

    `labels` are names, as written in the source; `names` is set where the source itself says which
    classes there are and in which order; `origin` is what messages call the source; `zhang` says
    that the labels are still the class numbers of the layout of Zhang et al.; `columns` says where
    text and label came from; `skipped` counts rows left out for their lack of a label.
    """

    texts: list[str]
    labels: list[str]
    origin: str
    names: tuple[str, ...] | None = None
    zhang: bool = False
    columns: str = ""
    skipped: int = 0

    def __len__(self) -> int:
        return len(self.texts)

    def take(self, indices: np.ndarray) -> Rows:
        """Returns the rows at `indices` (int [n])."""
        chosen = indices.tolist()
        return replace(
            self,
            texts=[self.texts[i] for i in chosen],
            labels=[self.labels[i] for i in chosen],
        )


def told(*parts: Rows) -> str:
    """Returns what a description says of the rows beside their number."""
    skipped = sum(rows.skipped for rows in parts)
    columns = f"; {parts[0].columns}" if parts[0].columns else ""
    return columns + (f"; {skipped:,} rows without a label left out" if skipped else "")


class Where:
    """Names a row of a source in messages, so that it can be found in an editor.

    >>> str(Where("mail.csv", 2, 3))
    'mail.csv, row 2 (line 3)'
    """

    def __init__(self, origin: str, row: int, line: int | None = None) -> None:
        self.origin, self.row, self.line = origin, row, line

    def __str__(self) -> str:
        line = "" if self.line is None else f" (line {self.line})"
        return f"{self.origin}, row {self.row}{line}"


def join_pieces(pieces: Iterable[str]) -> str:
    """Joins the text columns of a row with one space; empty pieces leave no trace.

    >>> join_pieces(["", "A novel.", "By someone."])
    'A novel. By someone.'
    """
    return " ".join(piece for piece in pieces if piece and not piece.isspace())


def encodable(text: str, errors: Errors, where: Where) -> str:
    """Returns `text` if it can be written as UTF-8; else stops or puts U+FFFD in, as `errors` says.

    Readers decode with 'surrogateescape' under 'strict', which turns a bad byte into a lone
    surrogate; JSON can spell one, too. One pass then knows the row without reading twice.
    """
    if text.isascii() or not (found := _SURROGATE.search(text)):
        return text
    if errors == "replace":
        return _SURROGATE.sub("\N{REPLACEMENT CHARACTER}", text)
    code = ord(found.group())
    what = f"byte 0x{code - 0xDC00:02X}" if 0xDC80 <= code <= 0xDCFF else f"surrogate U+{code:X}"
    raise UserError(
        f"{where}: not valid UTF-8 ({what}); convert the file to UTF-8, "
        "or pass --data.errors replace to put U+FFFD in its place"
    )


def is_missing(label: Any) -> bool:
    """Returns whether a row has no label: none, not a number, or blank.

    >>> [is_missing(label) for label in (None, float("nan"), " ", 0)]
    [True, True, True, False]
    """
    if isinstance(label, str):
        return not label.strip()
    return label is None or (isinstance(label, float) and math.isnan(label))


def label_text(value: Any, where: Where) -> str:
    """Returns the name of a label: strings stripped, whole numbers and booleans as text.

    Raises:
      UserError: the label is missing, empty, a fraction, or not a single value.

    >>> [label_text(value, Where("x", 1)) for value in (3.0, True, " pos ")]
    ['3', 'true', 'pos']
    """
    if is_missing(value):
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
    """Writes labels such as '1.0' as whole numbers, if all of them are that.

    >>> whole_numbers(["1.0", "0.0"]), whole_numbers(["1.0", "1.5"])
    (['1', '0'], ['1.0', '1.5'])
    """
    distinct = set(labels)
    if not any("." in label for label in distinct):
        return labels
    if not all(_WHOLE.fullmatch(label) for label in distinct):
        return labels
    plain = {label: label.partition(".")[0] for label in distinct}
    return [plain[label] for label in labels]


def class_names(labels: Iterable[str]) -> tuple[str, ...]:
    """Returns the distinct labels: by value where all are whole numbers, else as strings.

    >>> class_names(["10", "9", "10"]), class_names(["pos", "neg"])
    (('9', '10'), ('neg', 'pos'))
    """
    distinct = set(labels)
    if all(_WHOLE.fullmatch(label) for label in distinct):
        return tuple(sorted(distinct, key=lambda label: (float(label), label)))
    return tuple(sorted(distinct))


def label_indices(rows: Rows, names: Sequence[str]) -> np.ndarray:
    """Returns the class of every row as int32 [N], its place in `names`.

    Raises:
      UserError: a label is none of `names`; the text names the row and the nearest class.
    """
    index = {name: i for i, name in enumerate(names)}
    try:
        return np.fromiter((index[label] for label in rows.labels), np.int32, len(rows))
    except KeyError as error:
        label = str(error.args[0])
    where = Where(rows.origin, rows.labels.index(label) + 1)
    raise UserError(
        f"{where}: the label {shorten(repr(label))} is not among the training labels "
        f"({listed(names)}){nearest(label, names)}"
    )
