"""One JSON file for each measurement, and the table that is drawn from them."""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.cross_validation.models import BASELINES
from wave_jax.errors import UserError
from wave_jax.runs.files import write_whole


@dataclass(frozen=True)
class Record:
    """A model with one setting, learned from all folds of a set but one and tested on that."""

    set: str
    fold: int
    folds: int
    model: str
    setting: str
    seed: int
    arguments: dict[str, Any]
    accuracy: float
    seconds: float  # of learning
    size: int  # parameters
    rows: int  # of the set
    learned: int  # texts
    tested: int
    versions: dict[str, str]
    facts: dict[str, Any] = field(default_factory=dict)

    def save(self, folder: Path) -> None:
        """Writes the record as a whole."""
        path = folder / file_name(
            self.set, self.model, self.setting, self.fold, self.folds, self.seed
        )
        write_whole(path, json.dumps(asdict(self), indent=2) + "\n")

    @classmethod
    def load(cls, path: Path) -> Record:
        """Reads a record; UserError where the file is none."""
        try:
            return cls(**json.loads(path.read_text("utf-8")))
        except (TypeError, ValueError) as error:
            raise UserError(f"{path} is not a record of a cross-validation: remove it") from error


def file_name(data: str, model: str, setting: str, fold: int, folds: int, seed: int) -> str:
    """Returns the name of a record's file.

    >>> file_name("trec", "tfidf", "ngrams 1, C 10", 0, 5, 0)
    'trec.tfidf.ngrams-1-C-10.fold-0-of-5.seed-0.json'
    """
    words = [re.sub(r"[^\w]+", "-", word) for word in (data, model, setting) if word]
    return ".".join([*words, f"fold-{fold}-of-{folds}", f"seed-{seed}", "json"])


def load_records(folder: Path) -> list[Record]:
    """Reads all records of a folder, in the order of their names."""
    return [Record.load(path) for path in sorted(folder.glob("*.json"))]


class Cell:
    """What was measured of a model with one setting on one set; accuracies in percent."""

    def __init__(self, records: list[Record]) -> None:
        self.records, by_seed, by_fold = records, defaultdict(list), defaultdict(list)
        for record in records:
            by_seed[record.seed].append(100 * record.accuracy)
            by_fold[record.fold].append(100 * record.accuracy)
        self.folds = {fold: float(np.mean(values)) for fold, values in by_fold.items()}
        self.mean = float(np.mean(list(self.folds.values())))
        self.seeds = [np.mean(v) for v in by_seed.values() if len(v) == len(self.folds)]

    def __str__(self) -> str:
        seconds = np.mean([record.seconds for record in self.records])
        spread = f" ± {np.std(self.seeds, ddof=1):.2f}" if len(self.seeds) > 1 else ""
        wanted, count = self.records[0].folds, len(self.folds)
        some = f"{count} of {wanted} folds" if count < wanted else ""
        notes = filter(None, (self.records[0].setting, some, f"{seconds:,.3g} s"))
        return f"{self.mean:.2f}{spread} ({'; '.join(notes)})"

    def less(self, other: Cell) -> np.ndarray:
        """Returns the differences to `other` on the folds that both have, float64 [folds]."""
        both = sorted(self.folds.keys() & other.folds.keys())
        return np.array([self.folds[fold] - other.folds[fold] for fold in both])


def best_cells(records: list[Record]) -> dict[str, dict[str, Cell]]:
    """Returns by set and model the setting of the best mean, of those with the most records."""
    parts: dict[tuple[str, str, str], list[Record]] = defaultdict(list)
    for record in records:
        parts[record.set, record.model, record.setting].append(record)
    cells: dict[str, dict[str, Cell]] = defaultdict(dict)
    for (data, model, _), part in parts.items():
        cell, other = Cell(part), cells[data].get(model)
        if other is None or (len(part), cell.mean) > (len(other.records), other.mean):
            cells[data][model] = cell
    return cells


def table(records: list[Record], sets: tuple[str, ...]) -> Iterator[str]:
    """Yields the lines of a markdown table: a row for each set, a column for each model.

    The last columns compare what is ours with the better baseline of each set, fold by fold.
    """
    cells = best_cells(records)
    there = {model for name in sets for model in cells.get(name, ())}
    own = sorted(there - set(BASELINES), key=lambda name: (name != "ours", name))
    models = [*(name for name in BASELINES if name in there), *own]
    compared = own if there & set(BASELINES) else []
    heads = ["set", "rows", *models, *(f"{name} - better baseline" for name in compared)]
    yield f"| {' | '.join(heads)} |"
    yield f"|---|{'---:|' * (len(heads) - 1)}"
    ahead: dict[str, list[bool]] = {name: [] for name in compared}
    for name in (name for name in sets if name in cells):
        row = cells[name]
        shown = [str(row.get(model, "")) for model in models]
        for model in compared:
            others = [row[other] for other in BASELINES if other in row and model in row]
            differences = [found for other in others if len(found := row[model].less(other))]
            least = min(differences, key=np.mean, default=None)
            shown.append("" if least is None else _difference(least))
            if least is not None and len(differences) == len(BASELINES):
                ahead[model].append(bool(least.mean() > 0))
        rows = next(iter(row.values())).records[0].rows
        yield f"| {' | '.join([name, f'{rows:,}', *shown])} |"
    yield ""
    for model, wins in ahead.items():
        yield f"{model}: ahead of both baselines on {sum(wins)} of {len(wins)} sets."


def _difference(values: np.ndarray) -> str:
    """Returns the mean with its standard error over folds."""
    error = f" ± {values.std(ddof=1) / np.sqrt(len(values)):.2f}" if len(values) > 1 else ""
    return f"{values.mean():+.2f}{error}"
