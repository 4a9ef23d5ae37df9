"""Which columns of a table hold the text and the label."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from wave_jax.errors import UserError, listed, nearest

# A title is joined with the text that follows it; of each group the first name present is taken.
TITLE_NAMES = ("title", "headline", "subject")
TEXT_NAMES = (
    *("text", "sentence", "content", "description", "review", "review_text", "body"),
    *("abstract", "comment", "document", "message", "question", "tweet"),
)
LABEL_NAMES = (
    *("label", "labels", "class", "class index", "class_index", "category", "target"),
    *("sentiment", "topic", "coarse_label", "label-coarse"),
)
_NO_HEADER = (
    "; if the file has no header line, name its columns in order with --data.columns "
    "(such as --data.columns label text)"
)


@dataclass(frozen=True)
class ColumnSpec:
    """The columns asked for; empty fields are found by name.

    Attributes:
      text: columns that are joined to form the text.
      label: the column of the label.
      names: names of all columns, for a file without a header line.
      unlabelled: a row without a label raises an error ('stop') or is left out ('skip'); 'ignore'
        reads no labels at all.
    """

    text: tuple[str, ...] = ()
    label: str | None = None
    names: tuple[str, ...] = ()
    unlabelled: Literal["stop", "skip", "ignore"] = "stop"


@dataclass(frozen=True)
class Columns:
    """The columns of a file, and which of them are read.

    Attributes:
      names: names of all columns.
      text: indices of the columns that hold the text, in the order in which they are joined.
      label: index of the column that holds the label, if it is read.
      classes: class names in their order, where the file itself declares them.
      headerless: whether the file has no header line, as in the layout of Zhang et al. (2015).
      untyped: whether all values are written text, so that '1.0' may be the class 1.
    """

    names: tuple[str, ...] = ()
    text: tuple[int, ...] = ()
    label: int | None = None
    classes: tuple[str, ...] | None = None
    headerless: bool = False
    untyped: bool = False

    def __str__(self) -> str:
        if not self.text:
            return ""
        text = f"text from {' + '.join(self.names[i] for i in self.text)}"
        return text if self.label is None else f"{text}, label from {self.names[self.label]}"


def choose_columns(
    names: Sequence[str], spec: ColumnSpec, origin: str, *, header: bool = False
) -> Columns:
    """Finds the text and the label among the columns `names` of `origin`.

    Args:
      names: the names of all columns.
      spec: the columns asked for.
      origin: what messages call the file.
      header: whether `names` is the first line of a file, which may hold data instead; errors then
        say what to do for a file without a header.

    Raises:
      UserError: a column is missing or ambiguous; the message lists those present.

    >>> choose_columns(["id", "title", "text", "label"], ColumnSpec(), "news.csv").text
    (1, 2)
    """
    hint = _NO_HEADER if header else ""
    if spec.unlabelled == "ignore":
        asked = LABEL_NAMES if spec.label is None else (spec.label.strip().lower(),)
        label = _first(names, asked)
    elif spec.label is not None:
        label = _index(names, spec.label, origin, hint)
    else:
        label = _first(names, LABEL_NAMES)
        if label is None:
            option = "name it with --data.label-column"
            raise _missing("label", LABEL_NAMES, names, origin, option + hint)
    if spec.text:
        text = tuple(_index(names, name, origin, hint) for name in spec.text)
    else:
        others = ["" if i == label else name for i, name in enumerate(names)]
        found = (_first(others, TITLE_NAMES), _first(others, TEXT_NAMES))
        text = tuple(i for i in found if i is not None)
        if not text:
            option = "name one or more with --data.text-columns"
            raise _missing("text", TEXT_NAMES, names, origin, option + hint)
    return Columns(tuple(names), text, None if spec.unlabelled == "ignore" else label)


def _index(names: Sequence[str], name: str, origin: str, hint: str) -> int:
    count = names.count(name)
    if count == 1:
        return names.index(name)
    if count:
        raise UserError(f"{origin} has {count} columns named {name!r}; names must differ")
    hint = hint or "; others are named with --data.text-columns and --data.label-column"
    raise UserError(
        f"{origin} has no column {name!r}{nearest(name, names)}; "
        f"columns there: {listed(names)}{hint}"
    )


def _first(names: Sequence[str], known: tuple[str, ...]) -> int | None:
    folded = [name.strip().lower() for name in names]
    return next((folded.index(name) for name in known if name in folded), None)


def _missing(
    what: str, known: tuple[str, ...], names: Sequence[str], origin: str, option: str
) -> UserError:
    matches = (n for n in names if difflib.get_close_matches(n.lower(), known, cutoff=0.75))
    near = next((f" (is it {name!r}?)" for name in matches), "")  # 'lable', not 'image'
    return UserError(
        f"{origin} has no column for the {what} (such as {what!r}){near}; "
        f"columns there: {listed(names)}; {option}"
    )
