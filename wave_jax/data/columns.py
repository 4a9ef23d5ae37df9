"""Which columns of a table hold the text and the label."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from wave_jax.errors import UserError, listed, nearest

# A title is joined with the text that follows it; of the rest the first that is there is taken.
TITLE_NAMES = ("title", "headline", "subject")
_OTHERS = "; others are named with --data.text-columns and --data.label-column"
TEXT_NAMES = (
    *("text", "sentence", "content", "description", "review", "review_text", "body"),
    *("abstract", "comment", "document", "message", "question", "tweet"),
)
LABEL_NAMES = (
    *("label", "labels", "class", "class index", "class_index", "category", "target"),
    *("sentiment", "topic", "coarse_label", "label-coarse"),
)


@dataclass(frozen=True)
class ColumnSpec:
    """The columns asked for: empty means found by name.

    `names` are those of all columns, for a file that has no header line. A row without a label is
    an error ('stop') or left out ('skip'); under 'ignore' there need be no labels at all.
    """

    text: tuple[str, ...] = ()
    label: str | None = None
    names: tuple[str, ...] = ()
    unlabelled: Literal["stop", "skip", "ignore"] = "stop"


@dataclass(frozen=True)
class Chosen:
    """The places of the columns that hold the text (joined in this order) and the label, if any."""

    text: tuple[int, ...]
    label: int | None

    def described(self, names: Sequence[str]) -> str:
        """Returns the names of the columns for a description."""
        text = f"text from {' + '.join(names[i] for i in self.text)}"
        return text if self.label is None else f"{text}, label from {names[self.label]}"


def choose_columns(
    names: Sequence[str], wanted: ColumnSpec, origin: str, *, header: bool
) -> Chosen:
    """Finds text and label among the columns `names` of `origin`.

    `header` says that `names` is the first line of a file, which may be data and no header: then
    the error says what a file without a header takes.

    Raises:
      UserError: a column is missing or ambiguous; the text lists the columns there.
    """
    hint = (
        "; if the file has no header line, name its columns in order with --data.columns "
        "(such as --data.columns label text)"
        if header
        else ""
    )
    if wanted.unlabelled == "ignore":
        known = LABEL_NAMES if wanted.label is None else (wanted.label.strip().lower(),)
        return Chosen(_text(names, wanted.text, _first(names, known), origin, hint), None)
    label = _label(names, wanted.label, origin, hint)
    return Chosen(_text(names, wanted.text, label, origin, hint), label)


def _label(names: Sequence[str], asked: str | None, origin: str, hint: str) -> int:
    if asked is not None:
        return _place(names, asked, origin, hint)
    found = _first(names, LABEL_NAMES)
    if found is None:
        raise UserError(
            f"{origin} has no column for the label (such as 'label'){_near(names, LABEL_NAMES)}; "
            f"columns there: {listed(names)}; name it with --data.label-column{hint}"
        )
    return found


def _text(
    names: Sequence[str], asked: tuple[str, ...], label: int | None, origin: str, hint: str
) -> tuple[int, ...]:
    if asked:
        return tuple(_place(names, name, origin, hint) for name in asked)
    others = ["" if place == label else name for place, name in enumerate(names)]
    found = (_first(others, TITLE_NAMES), _first(others, TEXT_NAMES))
    chosen = tuple(place for place in found if place is not None)
    if not chosen:
        raise UserError(
            f"{origin} has no column for the text (such as 'text'){_near(names, TEXT_NAMES)}; "
            f"columns there: {listed(names)}; name one or more with --data.text-columns{hint}"
        )
    return chosen


def _place(names: Sequence[str], asked: str, origin: str, hint: str) -> int:
    places = [i for i, name in enumerate(names) if name == asked]
    if len(places) == 1:
        return places[0]
    if places:
        raise UserError(f"{origin} has {len(places)} columns named {asked!r}; names must differ")
    raise UserError(
        f"{origin} has no column {asked!r}{nearest(asked, names)}; "
        f"columns there: {listed(names)}{hint or _OTHERS}"
    )


def _first(names: Sequence[str], known: tuple[str, ...]) -> int | None:
    folded = [name.strip().lower() for name in names]
    return next((folded.index(name) for name in known if name in folded), None)


def _near(names: Sequence[str], known: tuple[str, ...]) -> str:
    for name in names:
        if difflib.get_close_matches(name.lower(), known, cutoff=0.75):  # 'lable', not 'image'
            return f" (is it {name!r}?)"
    return ""
