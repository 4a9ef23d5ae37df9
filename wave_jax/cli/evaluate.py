"""`python -m wave_jax evaluate`: how good a trained network is, overall and on each class."""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, field, fields, replace
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro

from wave_jax.cli.arguments import options as options_of
from wave_jax.cli.arguments import parse
from wave_jax.cli.tables import print_report
from wave_jax.data.config import DataConfig, SourceConfig
from wave_jax.data.dataset import Split, SplitName, load_dataset, load_split
from wave_jax.errors import UserError
from wave_jax.inference import Classifier, load
from wave_jax.inference.report import Report, draw_confusion, make_report
from wave_jax.runs.config_file import load_config
from wave_jax.runs.environment import ENVIRONMENT_FILE, check_unchanged
from wave_jax.runs.workdir import with_snapshot
from wave_jax.training.compilation import enable_compilation_cache

_DESCRIPTION = """Evaluates a trained network; tables here, and a picture in the run's folder.

Examples:
  python -m wave_jax evaluate runs/ag
  python -m wave_jax evaluate runs/ag --split validation --checkpoint last
  python -m wave_jax evaluate runs/ag --data.source new.csv --data.text-columns title body
  python -m wave_jax evaluate runs/ag --json

The data options are those of the run unless given here. A file without a test part is evaluated as
a whole, unless the network was trained on it. What the training decided (its vocabulary, the cut
into parts) stays as it was."""

_FIELDS = fields(SourceConfig)
_FIXED = dict.fromkeys(
    options_of(DataConfig, "--data.").keys() - options_of(SourceConfig, "--data.").keys(),
    "the training decided it, and the run's own is used",
)


@dataclass(frozen=True)
class Options:
    """What to evaluate, and on which texts."""

    workdir: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="WORKDIR")]
    """Folder of a trained run."""
    split: SplitName = "test"
    """Part of the texts."""
    checkpoint: Literal["best", "last"] = "best"
    """Parameters of the best validation, or the newest."""
    json: bool = False
    """Print one line of JSON instead of tables."""
    data: SourceConfig = field(default_factory=SourceConfig)
    """Texts: those of the run, unless given here."""


def main(argv: Sequence[str], *, prog: str) -> int:
    """Prints the scores; returns the exit status."""
    options, data, trained_on = _options(argv, prog)
    workdir = Path(options.workdir)
    enable_compilation_cache()
    classifier = load(workdir, options.checkpoint, max_length=data.max_length)
    report = _evaluate(classifier, workdir, options.split, data, trained_on)
    record = {"split": options.split, "checkpoint": options.checkpoint, **report.as_json()}
    record["source"] = data.source
    picture = _keep(workdir, _name(options, trained_on), report, record, classifier.labels)
    if options.json:
        print(json.dumps(record | {"picture": str(picture)}, ensure_ascii=True))
    else:
        print_report(report, classifier.labels, title=_title(options))
        print(f"Written: {picture} and {picture.with_suffix('.json').name} beside it")
    return 0


def _options(argv: Sequence[str], prog: str) -> tuple[Options, DataConfig, DataConfig]:
    """Returns the options, the data that they ask for, and the data of the training.

    The arguments are read twice: the first time for the folder, whose data options then count.
    """
    read = partial(parse, argv=argv, prog=prog, description=_DESCRIPTION, elsewhere=_FIXED)
    found = read(Options(tyro.MISSING))
    trained_on = load_config(Path(found.workdir)).data
    own = SourceConfig(**{each.name: getattr(trained_on, each.name) for each in _FIELDS})
    options = read(replace(found, data=own))
    if options.data.source != own.source and options.data.test == own.test:
        # the run's test file belongs to the run's source
        options = replace(options, data=replace(options.data, test=None))
    data = replace(trained_on, **{each.name: getattr(options.data, each.name) for each in _FIELDS})
    return options, data, trained_on


def _evaluate(
    classifier: Classifier,
    workdir: Path,
    part: SplitName,
    asked: DataConfig,
    trained_on: DataConfig,
) -> Report:
    own, data = with_snapshot(trained_on, workdir), with_snapshot(asked, workdir)
    if data == own and (workdir / ENVIRONMENT_FILE).is_file():
        corpus = load_dataset(own)
        check_unchanged(workdir, data_hash=corpus.fingerprint, data=corpus.description)
        split: Split = getattr(corpus, part)
    else:
        split = load_split(data, part, classifier.labels, trained_on=own)
    if not len(split.labels):
        raise UserError(f"{asked.source} has no text in its {part} part")
    return make_report(classifier.logits(split.texts), split.labels, classifier.labels)


def _name(options: Options, trained_on: DataConfig) -> str:
    """Names the files after what decides their content."""
    parts: list[str] = [options.split, options.checkpoint]
    for value, own in (
        (options.data.source, trained_on.source),
        (options.data.test, trained_on.test),
    ):
        if value is not None and value != own:
            parts.append(Path(value).name)
    return re.sub(r"[^\w.-]+", "_", "-".join(parts))


def _title(options: Options) -> str:
    place = options.data.test if options.data.test and options.split == "test" else None
    return (
        f"{options.split} part of {place or options.data.source}, {options.checkpoint} checkpoint"
    )


def _keep(
    workdir: Path, name: str, report: Report, record: dict[str, Any], labels: Sequence[str]
) -> Path:
    """Writes record and picture under evaluation/, beside other ones; returns the picture's path.

    The same evaluation made again finds its record and writes nothing.
    """
    folder = workdir / "evaluation"
    text = json.dumps(record, indent=2, ensure_ascii=False) + "\n"
    try:
        folder.mkdir(exist_ok=True)
        path = free_path(folder, name, text)
        picture = path.with_suffix(".png")
        if not picture.exists():
            title = f"{record['split']}: accuracy {report.accuracy:.4f} of {report.examples} texts"
            draw_confusion(report.confusion, labels, picture, title=title)
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise UserError(f"cannot write to {folder}: {error.strerror}") from error
    return picture


def free_path(folder: Path, name: str, text: str) -> Path:
    """Returns folder/NAME.json, or NAME-2.json ...: the first that is free or holds `text`."""
    for number in itertools.count(1):
        path = folder / (f"{name}.json" if number == 1 else f"{name}-{number}.json")
        if not path.exists() or path.read_text("utf-8") == text:
            return path
    raise AssertionError("unreachable")
