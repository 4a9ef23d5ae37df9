"""`python -m wave_jax evaluate`: how good a trained network is, overall and on each class."""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import tyro

from wave_jax.cli.app import fields_of, parse, print_table
from wave_jax.data.config import DataConfig, SourceConfig
from wave_jax.data.dataset import Split, SplitName, load_dataset, load_split
from wave_jax.errors import UserError
from wave_jax.inference import load
from wave_jax.inference.report import draw_confusion, make_report
from wave_jax.runs.files import exported, load_config
from wave_jax.runs.inputs import count_learned
from wave_jax.runs.workdir import ENVIRONMENT_FILE, check_paths, check_unchanged, with_snapshot
from wave_jax.training.compilation import enable_compilation_cache

_DESCRIPTION = """Evaluates a trained network: tables here, a picture in the run's workdir.

Examples:
  python -m wave_jax evaluate runs/ag
  python -m wave_jax evaluate runs/ag --split validation --checkpoint last
  python -m wave_jax evaluate runs/ag --data.source new.csv --data.text-columns title body
  python -m wave_jax evaluate runs/ag --json

The data options are those of the run unless given here. A file without a test split is evaluated as
a whole, unless the network was trained on it. The run's vocabulary and splits are fixed."""

_MOST_CLASSES = 14  # whose confusion matrix fits a terminal
_MOST_CONFUSIONS = 15


@dataclass(frozen=True)
class Options:
    """What to evaluate, and on which texts."""

    workdir: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="WORKDIR")]
    """Folder of a trained run, or of a model that `export --format hub` wrote."""
    split: SplitName = "test"
    """Split of the data set; 'validation' is scored with the parameters before a refit."""
    checkpoint: Literal["best", "last"] = "best"
    """Parameters of the best validation, or the newest; after a refit, those of it."""
    json: bool = False
    """Print one line of JSON instead of tables."""
    data: SourceConfig = field(default_factory=SourceConfig)
    """The data set: that of the run, unless given here."""


def main(argv: Sequence[str], *, prog: str) -> None:
    """Prints the scores."""
    options, data, trained_on = _read(argv, prog)
    workdir = Path(options.workdir)
    enable_compilation_cache()
    refit = options.split != "validation"  # from whose texts a refit has learned
    classifier = load(workdir, options.checkpoint, max_length=data.max_length, refit=refit)
    split = _load_split(options.split, data, trained_on, workdir, classifier.labels)
    report = make_report(classifier.logits(split.texts), split.labels, classifier.labels)
    record = {"split": options.split, "checkpoint": options.checkpoint, **report}
    record["source"] = data.source
    record["duplicates"] = count = count_learned(workdir, split.texts, refit)
    # the files are named after what decides their content
    pairs = ((data.source, trained_on.source), (data.test, trained_on.test))
    sources = [Path(path).name for path, own in pairs if path is not None and path != own]
    name = re.sub(r"[^\w.-]+", "_", "-".join([options.split, options.checkpoint, *sources]))
    picture = None if exported(workdir) else _write(workdir / "evaluation", name, record)
    if options.json:
        print(json.dumps(record | {"picture": picture and str(picture)}))
    else:
        source = data.test if data.test and options.split == "test" else data.source
        print(f"{options.split} split of {source}, {options.checkpoint} checkpoint")
        print_report(report)
        if count is None:
            print("How many of these texts it has learned from is not known")
        elif count:
            print(f"{count:,} of {len(split):,} texts are training texts too: new texts score less")
        if picture:
            print(f"Written: {picture} and {picture.with_suffix('.json').name} beside it")


def print_report(report: Mapping[str, Any]) -> None:
    """Prints overall scores, those of each class, and the confusions."""
    labels, confusion = list(report["per_class"]), np.array(report["confusion"])
    print(f"accuracy        {report['accuracy']:.4f} of {report['examples']:,} texts")
    print(f"majority class  {report['majority']:.4f}")
    print(f"loss            {report['loss']:.4f}")
    scores: dict[str, list[Any]] = {"class": [*labels, "macro mean"]}
    for name, key in (("precision",) * 2, ("recall",) * 2, ("F1", "f1"), ("examples",) * 2):
        mean = report["examples" if key == "examples" else f"macro_{key}"]
        scores[name] = [*(score[key] for score in report["per_class"].values()), mean]
    print_table("Scores of each class", scores)
    if len(labels) <= _MOST_CLASSES:
        rows = [f"{number:>2} {label}" for number, label in enumerate(labels, 1)]
        columns = {str(number): counts for number, counts in enumerate(confusion.T.tolist(), 1)}
        title = "Confusion matrix: rows are true classes, columns predicted ones"
        print_table(title, {"true class": rows, **columns})
        return
    wrong = confusion - np.diag(np.diag(confusion))
    order = np.argsort(-wrong, axis=None, kind="stable")[:_MOST_CONFUSIONS]
    true, predicted = np.divmod(order, len(labels))
    names = {"true": [labels[k] for k in true], "predicted": [labels[k] for k in predicted]}
    print_table("Most frequent confusions", names | {"examples": wrong[true, predicted].tolist()})


def _read(argv: Sequence[str], prog: str) -> tuple[Options, DataConfig, DataConfig]:
    """Returns the options, the data to evaluate on, and the data of the training.

    The arguments are parsed twice, as the defaults of the data options are those of the workdir.
    """
    options = parse(Options(tyro.MISSING), argv, prog, _DESCRIPTION, "--data.source")
    trained_on = load_config(Path(options.workdir)).data
    own = SourceConfig(**fields_of(SourceConfig, trained_on))
    options = parse(replace(options, data=own), argv, prog, _DESCRIPTION, "--data.source")
    data = replace(trained_on, **vars(options.data))
    if data.source != own.source and data.test == own.test:
        data = replace(data, test=None)  # the run's test file belongs to the run's source
    return options, data, trained_on


def _load_split(
    name: SplitName, data: DataConfig, trained_on: DataConfig, workdir: Path, labels: Sequence[str]
) -> Split:
    check_paths(data, workdir)
    own, asked = with_snapshot(trained_on, workdir), with_snapshot(data, workdir)
    same = replace(asked, max_length=own.max_length) == own
    if same and (workdir / ENVIRONMENT_FILE).is_file():
        dataset = load_dataset(own)
        check_unchanged(workdir, dataset)
        split: Split = getattr(dataset, name)
    else:
        split = load_split(asked, name, tuple(labels), trained_on=own)
    if not len(split.labels):
        what = f"{data.source} has no {name} split, and the run learned from all of its texts"
        raise UserError(f"{what}: give others with --data.test or --data.source")
    return split


def _write(folder: Path, name: str, record: Mapping[str, Any]) -> Path:
    """Writes NAME.json and NAME.png, or NAME-2 ... if that exists; returns the picture's path."""
    text = json.dumps(record, indent=2, ensure_ascii=False) + "\n"
    names = (name if number == 1 else f"{name}-{number}" for number in itertools.count(1))
    try:
        folder.mkdir(exist_ok=True)
        paths = (folder / f"{each}.json" for each in names)
        path = next(p for p in paths if not p.exists() or p.read_text("utf-8") == text)
        picture = path.with_suffix(".png")
        if not picture.exists():
            score = f"accuracy {record['accuracy']:.4f} of {record['examples']} texts"
            labels, title = list(record["per_class"]), f"{record['split']}: {score}"
            draw_confusion(np.array(record["confusion"]), labels, picture, title=title)
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise UserError(f"cannot write to {folder}: {error.strerror}") from error
    return picture
