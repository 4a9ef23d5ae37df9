"""`python -m wave_jax probe`: gradients through magnitude and phase, for texts."""

from __future__ import annotations

import itertools
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal

import tyro

from wave_jax.cli.arguments import parse
from wave_jax.cli.probe_table import print_probe
from wave_jax.cli.texts import input_chunks
from wave_jax.data.config import ColumnsConfig
from wave_jax.data.dataset import load_split
from wave_jax.data.files import FORMATS
from wave_jax.data.streams import plain_suffix
from wave_jax.errors import UserError
from wave_jax.inference import Classifier, load
from wave_jax.inference.probing import probe_text
from wave_jax.probe.page import render_page
from wave_jax.probe.result import TextProbe, probe_record
from wave_jax.runs.workdir import with_snapshot
from wave_jax.training.compilation import enable_compilation_cache

_MOST_TEXTS = 64  # of one call: each is shown in full
_MOST_ON_PAGE = 8

_DESCRIPTION = """Shows how learning flows through the two components of a wave, for every token.

Examples:
  python -m wave_jax probe runs/ag --text "Shares rise on Wall Street"
  python -m wave_jax probe runs/ag --text "Shares rise" --label World --of margin --html out.html
  python -m wave_jax probe runs/ag --input texts.txt --json
  python -m wave_jax probe runs/ag --example 17

The gradients are those of the loss (or --of logit, margin) of the predicted class, of --label, or
of an example's own class. --html writes one self-contained page to be opened in a browser."""


@dataclass(frozen=True)
class Options:
    """What to probe, and what to show."""

    workdir: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="WORKDIR")]
    """Folder of a trained run."""
    text: tyro.conf.UseAppendAction[tuple[str, ...]] = ()
    """A text to probe; may be given several times."""
    input: str | None = None
    """File with a text on each line; or a csv, tsv, jsonl or parquet file, a text in each row."""
    example: tyro.conf.UseAppendAction[tuple[int, ...]] = ()
    """Number of an example of the run's data, from 0; may be given several times."""
    split: Literal["validation", "test", "train"] = "validation"
    """Part of the data that --example counts in."""
    label: str | None = None
    """Class whose loss, logit or margin is differentiated."""
    of: Literal["loss", "logit", "margin"] = "loss"
    """What is differentiated: the class's loss, its logit, or its lead over the best other one."""
    cut: bool = False
    """Read the beginning of a text that is too long, instead of refusing it."""
    json: bool = False
    """Print one JSON object a text instead of tables."""
    html: str | None = None
    """Write a page to this file."""
    checkpoint: Literal["best", "last"] = "best"
    """Parameters of the best validation, or the newest."""
    errors: Literal["strict", "replace"] = "strict"
    """Bytes of --input that are not UTF-8: 'strict' stops and names the line, 'replace' puts U+FFFD
    in."""
    data: ColumnsConfig = field(default_factory=ColumnsConfig)
    """Columns of such a file: those of the training, unless given here."""


def main(argv: Sequence[str], *, prog: str) -> int:
    """Prints the gradients; returns the exit status."""
    options = parse(Options(tyro.MISSING), argv, prog=prog, description=_DESCRIPTION)
    if sum(map(bool, (options.text, options.input, options.example))) != 1:
        raise UserError("give the texts in one way: --text, --input FILE, or --example N")
    if options.input is None and options.data != ColumnsConfig():
        raise UserError("--data.text-columns and --data.columns need --input FILE, a table")
    enable_compilation_cache()
    classifier = load(options.workdir, options.checkpoint, fold=False)
    wanted = _texts(options, classifier)
    _check_number(len(wanted), options)
    probes = [_probe(classifier, *one, options=options) for one in wanted]
    for probe in probes:
        if options.json:
            print(json.dumps(probe_record(probe), ensure_ascii=True))
        else:
            print_probe(probe)
    if options.html is not None:
        _write(Path(options.html), render_page(probes), quiet=options.json)
    return 0


def _probe(
    classifier: Classifier, name: str, text: str, label: str | None, *, options: Options
) -> TextProbe:
    cut = options.cut or bool(options.example)  # examples are cut just as in training
    try:
        return probe_text(classifier, text, label=label, of=options.of, cut=cut)
    except UserError as error:
        raise UserError(f"{name}: {error}") from error


def _texts(options: Options, classifier: Classifier) -> list[tuple[str, str, str | None]]:
    """Returns (what to call it in errors, text, label) for each text."""
    if options.text:
        return [(f"text {i + 1}", text, options.label) for i, text in enumerate(options.text)]
    if options.input is not None:
        trained_on = classifier.config.data
        with input_chunks(options.input, options.errors, options.data, trained_on) as chunks:
            found = list(itertools.islice(itertools.chain.from_iterable(chunks), _MOST_TEXTS + 1))
        what = "row" if plain_suffix(Path(options.input)) in FORMATS else "line"
        return [(f"{what} {i + 1}", text, options.label) for i, text in enumerate(found)]
    data = with_snapshot(classifier.config.data, Path(options.workdir))
    split = load_split(data, options.split, classifier.labels)
    texts: list[tuple[str, str, str | None]] = []
    for number in options.example:
        if not 0 <= number < len(split):
            raise UserError(
                f"the {options.split} part has the examples 0 to {len(split) - 1}; got {number}"
            )
        label = options.label or classifier.labels[int(split.labels[number])]
        texts.append((f"{options.split} example {number}", split.texts[number], label))
    return texts


def _check_number(number: int, options: Options) -> None:
    if number == 0:
        raise UserError(f"{options.input} has no line, so there is nothing to probe")
    most = _MOST_TEXTS if options.html is None else _MOST_ON_PAGE
    if number > most:
        where = "one call" if options.html is None else "a page"
        count = f"more than {_MOST_TEXTS}" if number > _MOST_TEXTS and options.input else number
        raise UserError(f"{count} texts are too many for {where}: at most {most}")


def _write(path: Path, page: str, *, quiet: bool) -> None:
    try:
        path.write_text(page, encoding="utf-8")
    except OSError as error:
        raise UserError(f"cannot write {path}: {error.strerror}") from error
    if not quiet:
        print(f"Written: {path} ({path.stat().st_size / 1e6:.2f} MB)")
