"""Which columns of a table are read, the labelled texts that come of it, and their splits."""

from __future__ import annotations

import itertools
import re
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np

from wave_jax.data.streams import Errors, check_encoding
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
_WHOLE = re.compile(r"[+-]?\d+(\.0+)?")


@dataclass(frozen=True)
class ColumnSpec:
    """How a table is read; columns that are not given are found by name."""

    text: tuple[str, ...] = ()  # columns that are joined to form the text
    label: str | None = None
    names: tuple[str, ...] = ()  # of all columns, for a file without a header line
    unlabelled: Literal["stop", "skip", "ignore"] = "stop"  # 'ignore' reads no labels at all
    errors: Errors = "strict"  # for bytes that do not fit the encoding
    # A file without a header line has the layout of Zhang et al. (2015): the class, counted from 1,
    # and then columns of text.
    zhang: bool = False
    group: str | None = None  # whose rows of one value no split parts; or an id of unlabelled rows
    ignored: str | None = None  # a column that is never text: the training's groups
    delimiter: str | None = None  # one character, or 'tab'
    encoding: str | None = None  # of text without a byte order mark; None is UTF-8

    def __post_init__(self) -> None:
        delimiter = "\t" if self.delimiter in ("tab", "\\t") else self.delimiter
        if delimiter is not None and (len(delimiter) != 1 or delimiter in '\0\r\n"'):
            raise UserError(f"--data.delimiter is {delimiter!r}, expected one character or 'tab'")
        object.__setattr__(self, "delimiter", delimiter)
        check_encoding(self.encoding)


@dataclass(frozen=True)
class Columns:
    """The columns of a file that are read; none where its format has no columns."""

    text: tuple[str, ...] = ()
    label: str | None = None
    classes: tuple[str, ...] | None = None  # which integer labels index, if the file names them
    headerless: bool = False
    untyped: bool = False  # all values are written text, so that '1.0' may be the class 1
    group: str | None = None
    delimiter: str | None = None  # if another than usual was found

    def __str__(self) -> str:
        label = "" if self.label is None else f", label from {self.label}"
        found = "" if self.delimiter is None else f", separated by {self.delimiter!r}"
        return f"text from {' + '.join(self.text)}{label}{found}" if self.text else ""


def choose_columns(names: Sequence[str], spec: ColumnSpec, origin: str) -> Columns:
    """Finds the text and the label among the columns `names` of `origin`, or raises UserError.

    >>> choose_columns(["id", "title", "text", "label"], ColumnSpec(), "news.csv").text
    ('title', 'text')
    """
    ignored = spec.unlabelled == "ignore"
    if spec.label is None or ignored:
        label = _first(names, LABEL_NAMES if spec.label is None else (spec.label.strip().lower(),))
    else:
        label = check_named(names, spec.label, origin)
    if label is None and not ignored:
        what = f"for the label (such as 'label'){nearest('label', names)}"
        raise _missing(what, names, origin, "name it with --data.label-column")
    group = None if spec.group is None else check_named(names, spec.group, origin)
    text = tuple(check_named(names, name, origin) for name in spec.text)
    if not text:
        unread = {label, spec.ignored, None if ignored else group}  # an id may be text
        others = [name for name in names if name not in unread]
        found = (_first(others, TITLE_NAMES), _first(others, TEXT_NAMES))
        text = tuple(name for name in found if name is not None)
    if not text:
        what = f"for the text (such as 'text'){nearest('text', names)}"
        raise _missing(what, names, origin, "name one or more with --data.text-columns")
    return Columns(text, None if ignored else label, group=group)


def check_named(names: Sequence[str], name: str, origin: str) -> str:
    """Returns `name`; UserError unless exactly one column has it."""
    count = names.count(name)
    if count > 1:
        raise UserError(f"{origin} has {count} columns named {name!r}; names must differ")
    if not count:
        option = "name another with --data.text-columns, --data.label-column or --data.group-column"
        raise _missing(f"{name!r}{nearest(name, names)}", names, origin, option)
    return name


@dataclass(frozen=True)
class Table:
    """Texts with their class names, in the order of the source."""

    texts: list[str]
    labels: list[str]
    origin: str  # what messages call the source
    columns: str = ""  # where text and label came from
    classes: tuple[str, ...] | None = None  # in their order, where the source declares them
    skipped: int = 0  # rows left out because they have no label
    groups: list[str | None] | None = None  # of the rows, where a column names them

    def __len__(self) -> int:
        return len(self.texts)

    def label_indices(self, classes: Sequence[str]) -> np.ndarray:
        """Returns the index in `classes` of each label, int32 [rows]; UserError if one has none."""
        index = {name: i for i, name in enumerate(classes)}
        for row, label in enumerate(self.labels, 1):
            if label not in index:
                raise UserError(
                    f"{row_name(self.origin, row)}: the label {shorten(repr(label))} is not among "
                    f"the training labels ({listed(classes)}){nearest(label, classes)}"
                )
        return np.array([index[label] for label in self.labels], np.int32)

    def split(self, fraction: float, seed: tuple[int, int]) -> tuple[Table, Table]:
        """Returns the rest and about a fraction of the rows, in order and at least one each.

        Drawn at random and stratified by label; equal texts and the rows of a group stay together.
        """
        count, parts = len(self), components(self.texts, self.groups)
        if not parts.any():  # all are number 0
            why = ", which have one text or one group" if count > 1 else ""
            raise UserError(f"{self.origin} has too few rows to be split: {count} left{why}")
        drawn = draw(self.label_indices(class_names(self.labels)), parts, fraction, seed)
        return self._take(~drawn), self._take(drawn)

    def _take(self, chosen: np.ndarray) -> Table:
        def of(values: Iterable[Any]) -> list[Any]:
            return list(itertools.compress(values, chosen))

        groups = None if self.groups is None else of(self.groups)
        return replace(self, texts=of(self.texts), labels=of(self.labels), groups=groups)


def folded(text: str) -> str:
    """Returns the text with one space for each run of white space: equal ones are duplicates."""
    return " ".join(text.split())


def components(texts: Sequence[str], groups: Sequence[str | None] | None = None) -> np.ndarray:
    """Numbers the sets of rows that stay together, int64 [rows]: those of equal texts or groups.

    >>> components(["a b", "c", "a  b", "d"], ["x", "y", "y", None]).tolist()
    [0, 0, 0, 1]
    """
    parts = _numbered(map(folded, texts))
    if groups is None:
        return parts
    from scipy.sparse import coo_array  # slow to import
    from scipy.sparse.csgraph import connected_components

    count = len(texts)
    named = (row if group is None else group for row, group in enumerate(groups))
    edges = (np.ones(count), (parts, count + _numbered(named)))
    _, found = connected_components(coo_array(edges, shape=(2 * count, 2 * count)), directed=False)
    return _numbered(found[parts].tolist())


def draw(
    labels: np.ndarray, parts: np.ndarray, fraction: float, seed: int | tuple[int, ...]
) -> np.ndarray:
    """Draws about a fraction of the rows, bool [rows]: whole `parts`, about as much of each label.

    Of a label, parts are drawn in random order as far as they bring its rows closer to its quota;
    a part has the label of its first row. At least one part is drawn, and one of each label stays.

    Args:
      labels: int [rows].
      parts: int [rows], as `components` numbers them, at least two.
    """
    _, first, sizes = np.unique(parts, return_index=True, return_counts=True)
    owners, count = labels[first], len(labels)
    total = min(max(round(fraction * count), 1), count - 1)
    rows = np.bincount(owners, sizes).astype(np.int64)
    generator, drawn = np.random.default_rng(seed), np.zeros(len(sizes), bool)
    taken, seen = 0, 0
    for label in np.argsort(rows, kind="stable"):  # the largest last makes up for the others
        seen += rows[label]
        goal = (2 * total * seen + count) // (2 * count)  # rounded, so that the quotas add up
        for part in generator.permutation(np.flatnonzero(owners == label))[1:].tolist():
            if 2 * taken + sizes[part] <= 2 * goal:
                drawn[part], taken = True, taken + sizes[part]
    if not drawn.any():
        drawn[sizes.argmin()] = True
    return np.asarray(drawn[parts])


def _numbered(keys: Iterable[Hashable]) -> np.ndarray:
    """Numbers equal keys alike, in the order of their first appearance, int64."""
    seen: dict[Hashable, int] = {}
    return np.array([seen.setdefault(key, len(seen)) for key in keys], np.int64)


def row_name(origin: str, row: int, line: int | None = None) -> str:
    """Returns what messages call a row: 'mail.csv, row 2 (line 3)'."""
    return f"{origin}, row {row}" if line is None else f"{origin}, row {row} (line {line})"


def remarks(*tables: Table, columns: bool = True) -> str:
    """Returns what a description says about tables besides their sizes."""
    skipped = sum(table.skipped for table in tables)
    said = [tables[0].columns if columns else ""]
    said += [f"{skipped:,} rows without a label left out"] if skipped else []
    return "".join(f"; {each}" for each in said if each)


def whole_numbers(labels: list[str]) -> list[str]:
    """Drops the fraction of labels such as '1.0', if all of them are whole numbers."""
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


def _first(names: Sequence[str], known: tuple[str, ...]) -> str | None:
    folded = [name.strip().lower() for name in names]
    return next((names[folded.index(name)] for name in known if name in folded), None)


def _missing(what: str, names: Sequence[str], origin: str, option: str) -> UserError:
    return UserError(f"{origin} has no column {what}; columns there: {listed(names)}; {option}")
