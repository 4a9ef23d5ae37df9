"""Accuracy beside TF-IDF with logistic regression and fastText, cross-validated on training files.

Every measurement is kept as a record and never repeated; the table is drawn from the records. It
shows the setting of a baseline that did best on the very folds, which favours the baselines.

    python -m benchmarks --only baselines --data-root FOLDER --sets trec cr --seeds 0 1 2
    python -m benchmarks --only baselines --data-root FOLDER --models wave long \\
        --ours "wave=" --ours "long=--train.epochs 12"
    python -m benchmarks --only baselines --draw
"""

from __future__ import annotations

import itertools
import sys
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import tyro

from benchmarks.cross_validation.folds import FILES, read_folds
from benchmarks.cross_validation.models import (
    BASELINES,
    VARIANTS,
    Failed,
    Method,
    methods,
    versions,
)
from benchmarks.cross_validation.records import Record, file_name, load_records, table
from benchmarks.report import Report
from wave_jax.data.streams import existing
from wave_jax.errors import UserError, nearest


@dataclass(frozen=True)
class Options:
    """Which models to cross-validate, and on which sets."""

    data_root: str | None = None
    """Folder of the data sets: bench/trec.csv, ag_news_csv, sst2, imdb and so on."""
    sets: tuple[str, ...] = tuple(FILES)
    """Data sets, in this order."""
    models: tuple[str, ...] = ()
    """tfidf, fasttext, ours, mean or names of --ours; by default the baselines and what --ours
    names, or else ours."""
    ours: tyro.conf.UseAppendAction[tuple[str, ...]] = ()
    """NAME=ARGUMENTS: a variant of ours, with more arguments of `wave_jax train`; may be given
    several times."""
    folds: int = 5
    """Folds of each set."""
    only_folds: tuple[int, ...] = ()
    """Folds to measure, counted from 0; by default all."""
    seeds: tuple[int, ...] = (0,)
    """Seeds of ours and of fastText."""
    out: str = "cv-records"
    """Folder of the records."""
    draw: bool = False
    """Only draw the table of the records: of all models, or of --models and the baselines."""


@dataclass
class Comparison(Report):
    """A report that is a table."""

    table: list[str] = field(default_factory=list)

    def lines(self) -> Iterator[str]:
        """Yields the table and the notes."""
        yield from (*self.table, *super().lines())


def run(options: Options) -> Comparison:
    """Measures what has no record yet, and draws the table; Ctrl-C leaves the rest for later."""
    variants, out = dict(map(_variant, options.ours)), Path(options.out)
    recorded = {record.model for record in load_records(out)} if options.draw else ()
    _check(options, (*VARIANTS, *variants, *recorded))
    report = Comparison()
    if not options.draw:
        models = options.models or (*BASELINES, *(variants or ("ours",)))
        wanted = list(methods(models, VARIANTS | variants, report.notes))
        _say(*report.notes)
        out.mkdir(parents=True, exist_ok=True)
        try:
            _measure(options, wanted, out, report.notes)
        except KeyboardInterrupt:
            report.notes.append(f"stopped; the same command goes on, with what is in {out}")
    found = [record for record in load_records(out) if record.folds == options.folds]
    chosen = {*BASELINES, *options.models} if options.models else {r.model for r in found}
    report.table += table([record for record in found if record.model in chosen], options.sets)
    return report


def _measure(options: Options, wanted: list[Method], out: Path, notes: list[str]) -> None:
    """Measures and saves what is missing; a failure leaves a note."""
    root, tasks = Path(options.data_root or ""), list(_tasks(options, wanted, out))
    sizes = {name: existing(root / FILES[name]).stat().st_size for name, *_ in tasks}
    spent: dict[str, list[float]] = defaultdict(list)  # seconds for a byte of the file
    for done, (name, fold, method, seed) in enumerate(tasks, 1):
        rows, folds = read_folds(root, name, options.folds)
        learned, tested = folds[fold]
        what = f"{name}, fold {fold}, {method.model} {method.setting}".strip() + f", seed {seed}"
        try:
            found = method.measure(learned, tested, seed, **method.arguments)
        except Failed as error:
            notes.append(f"failed: {what}: {error}")
            _say(notes[-1])
            continue
        record = Record(
            *(name, fold, options.folds, method.model, method.setting, seed),
            arguments=dict(method.arguments),
            **{name: found.pop(name) for name in ("accuracy", "seconds", "size")},
            rows=rows,
            learned=len(learned.texts),
            tested=len(tested.texts),
            versions=versions(),
            facts=found,
        )
        record.save(out)
        spent[method.model].append(record.seconds / sizes[name])
        rates = {model: sum(rates) / len(rates) for model, rates in spent.items()}
        left = sum(rates.get(m.model, 0) * sizes[other] for other, _, m, _ in tasks[done:])
        result = f"{record.accuracy:.2%} in {record.seconds:.1f} s"
        _say(f"{what}: {result} ({done} of {len(tasks)}, about {left / 60:,.0f} min left)")


def _tasks(
    options: Options, wanted: list[Method], out: Path
) -> Iterator[tuple[str, int, Method, int]]:
    """Yields what has no record; UserError where a record's arguments are others."""
    numbers = options.only_folds or range(options.folds)
    for name, fold, method in itertools.product(options.sets, numbers, wanted):
        for seed in options.seeds if method.seeded else (0,):
            path = out / file_name(name, method.model, method.setting, fold, options.folds, seed)
            if not path.exists():
                yield name, fold, method, seed
            elif Record.load(path).arguments != method.arguments:
                raise UserError(
                    f"{path} is of {method.model!r} with other arguments: give this variant "
                    "another name in --ours, or another --out"
                )


def _say(*lines: str) -> None:
    for line in lines:
        print(f"  {line}", file=sys.stderr, flush=True)


def _variant(text: str) -> tuple[str, str]:
    name, equals, arguments = text.partition("=")
    if not equals or not name.replace("-", "_").isidentifier() or name in BASELINES:
        raise UserError(f"--ours is {text!r}, expected NAME=ARGUMENTS, as in 'wave='")
    return name, arguments


def _check(options: Options, variants: Iterable[str]) -> None:
    """Raises UserError where an option names nothing."""
    for what, given, known in (
        ("set", options.sets, tuple(FILES)),
        ("model", options.models, tuple(dict.fromkeys((*BASELINES, *variants)))),
    ):
        for name in given:
            if name not in known:
                expected = f"expected {', '.join(known)}"
                raise UserError(f"no {what} {name!r}{nearest(name, known)}; {expected}")
    if options.folds < 2 or not all(0 <= fold < options.folds for fold in options.only_folds):
        raise UserError("--folds is 2 or more, and --only-folds are numbers from 0 below it")
    if options.draw and not Path(options.out).is_dir():
        raise UserError(f"no records: {options.out} is not a folder; name it with --out")
    if not options.draw and options.data_root is None:
        raise UserError("--only baselines reads files below --data-root FOLDER, which is missing")
