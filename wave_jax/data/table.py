"""Which columns of a table are read, and the tables of labelled texts that come of it."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from wave_jax.data.streams import Errors
from wave_jax.errors import UserError, listed, nearest, shorten

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
_WHOLE = re.compile(r"[+-]?\d+(\.0+)?")
_STREAMS = {"test": 1, "validation": 2}  # independent random streams of a seed


@dataclass(frozen=True)
class ColumnSpec:
    """How a table is read; columns that are not given are found by name.

    Attributes:
      text: columns that are joined to form the text.
      label: the column of the label.
      names: names of all columns, for a file without a header line.
      unlabelled: a row without a label raises an error ('stop') or is left out ('skip'); 'ignore'
        reads no labels at all.
      errors: what is done with bytes that are not UTF-8.
      zhang: a file without a header line has the layout of Zhang et al. (2015): the class, counted
        from 1, and then columns of text.
    """

    text: tuple[str, ...] = ()
    label: str | None = None
    names: tuple[str, ...] = ()
    unlabelled: Literal["stop", "skip", "ignore"] = "stop"
    errors: Errors = "strict"
    zhang: bool = False


@dataclass(frozen=True)
class Columns:
    """The columns of a file, and which of them are read.

    `text` and `label` are indices into `names`. `classes` are class names in their order, where the
    file itself declares them. In an `untyped` file all values are written text, so that '1.0' may
    be the class 1.
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

    `header` says that `names` is the first line of a file, which may hold data instead: errors then
    say what to do for a file without a header.

    Raises:
      UserError: a column is missing or ambiguous; the message lists those present.

    >>> choose_columns(["id", "title", "text", "label"], ColumnSpec(), "news.csv").text
    (1, 2)
    """
    hint = _NO_HEADER if header else ""
    label: int | None
    if spec.unlabelled == "ignore":
        asked = LABEL_NAMES if spec.label is None else (spec.label.strip().lower(),)
        label = _first(names, asked)
    elif spec.label is not None:
        label = _index(names, spec.label, origin, hint)
    elif (label := _first(names, LABEL_NAMES)) is None:
        option = "name it with --data.label-column"
        raise _missing("label", LABEL_NAMES, names, origin, option + hint)
    text = tuple(_index(names, name, origin, hint) for name in spec.text)
    if not text:
        others = ["" if i == label else name for i, name in enumerate(names)]
        found = (_first(others, TITLE_NAMES), _first(others, TEXT_NAMES))
        text = tuple(i for i in found if i is not None)
    if not text:
        option = "name one or more with --data.text-columns"
        raise _missing("text", TEXT_NAMES, names, origin, option + hint)
    return Columns(tuple(names), text, None if spec.unlabelled == "ignore" else label)


@dataclass(frozen=True)
class Table:
    """Texts with their class names, in the order of the source.

    `origin` is what messages call the source, `columns` says where text and label came from, and
    `skipped` counts the rows left out because they have no label.
    """

    texts: list[str]
    labels: list[str]
    origin: str
    columns: Columns = Columns()
    skipped: int = 0

    def __len__(self) -> int:
        return len(self.texts)

    def label_indices(self, classes: Sequence[str]) -> np.ndarray:
        """Returns the index in `classes` of each label, int32 [rows].

        Raises:
          UserError: a label is none of `classes`; the message names the row and the nearest class.
        """
        index = {name: i for i, name in enumerate(classes)}
        for row, label in enumerate(self.labels, 1):
            if label not in index:
                raise UserError(
                    f"{row_name(self.origin, row)}: the label {shorten(repr(label))} is not among "
                    f"the training labels ({listed(classes)}){nearest(label, classes)}"
                )
        return np.array([index[label] for label in self.labels], np.int32)

    def split(self, fraction: float, seed: tuple[int, int]) -> tuple[Table, Table]:
        """Returns the rest and a random fraction of the rows: at least one row each, in order."""
        count = len(self)
        if count < 2:
            raise UserError(f"{self.origin} has too few rows to be split: {count} left")
        drawn = min(max(round(fraction * count), 1), count - 1)
        order = np.random.default_rng(seed).permutation(count)
        rest, chosen = (np.sort(part).tolist() for part in (order[drawn:], order[:drawn]))
        return self._take(rest), self._take(chosen)

    def _take(self, rows: list[int]) -> Table:
        texts, labels = [self.texts[i] for i in rows], [self.labels[i] for i in rows]
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

    def completed(
        self, validation_fraction: float, test_fraction: float, seed: int
    ) -> dict[str, Table]:
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
        return tables


def row_name(origin: str, row: int, line: int | None = None) -> str:
    """Returns what messages call a row, so that it can be found in an editor.

    >>> row_name("mail.csv", 2, 3)
    'mail.csv, row 2 (line 3)'
    """
    return f"{origin}, row {row}" if line is None else f"{origin}, row {row} (line {line})"


def remarks(*tables: Table, columns: bool = True) -> str:
    """Returns what a description says about tables besides their sizes."""
    skipped = sum(table.skipped for table in tables)
    said = [str(tables[0].columns) if columns else ""]
    said += [f"{skipped:,} rows without a label left out"] if skipped else []
    return "".join(f"; {each}" for each in said if each)


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
