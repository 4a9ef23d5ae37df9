"""`python -m wave_jax predict`: label and probabilities of every text, as JSON or csv."""

from __future__ import annotations

import csv
import io
import json
import os
import sys
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from heapq import nlargest
from io import BufferedIOBase
from itertools import chain
from math import inf
from operator import itemgetter
from pathlib import Path
from typing import Any, Literal, cast

import numpy as np
import tyro

from wave_jax.cli.app import parse
from wave_jax.cli.texts import TextOptions, open_with_ids, read_lines
from wave_jax.data.sources.hub import locate
from wave_jax.data.tokenizer import Tokens
from wave_jax.errors import UserError
from wave_jax.inference import load
from wave_jax.inference.classifier import Prediction
from wave_jax.inference.lookup_table import Kept
from wave_jax.inference.unknown import UnknownWords
from wave_jax.runs.files import load_config
from wave_jax.training.compilation import enable_compilation_cache, keep_freed_memory

_DESCRIPTION = """Labels texts: one JSON object a line, {"label": ..., "probabilities": {...}}.

Examples:
  python -m wave_jax predict runs/ag --text "Shares rise on Wall Street"
  python -m wave_jax predict runs/ag < texts.txt > labels.jsonl
  python -m wave_jax predict runs/ag --input texts.txt --errors replace
  python -m wave_jax predict runs/ag --input new.csv --data.text-columns title body
  python -m wave_jax predict runs/ag --input new.csv --id-column id --format csv > labels.csv

Texts are lines of UTF-8, from standard input without --text or --input; an empty line is an empty
text. In a .csv, .tsv, .jsonl or .parquet file, compressed or not, each row is a text. The order is
kept, and memory does not grow with the number of texts."""


@dataclass(frozen=True)
class Options(TextOptions):
    """What to label, and with what."""

    format: Literal["jsonl", "csv"] = "jsonl"
    """'csv' has columns label and probability; with --top 2 also label_2 and probability_2."""
    top: int | None = None
    """Give the probabilities of that many classes only, the most probable first."""
    id_column: str | None = None
    """Column of a table whose values are written beside the labels, as `id`."""
    with_text: bool = False
    """Write the text beside its label, as `text`."""
    table: Kept = "float32"
    """Numbers of that table: 'int8' takes a quarter to a third of the memory and is faster, for
    another label of a text in a thousand or so."""
    fold: bool = True
    """Precompute the projection of every token as a lookup table of at most 1 GiB: several times as
    fast, for 6 kB of memory a token of the vocabulary at 768 dimensions. Networks that need every
    token's wave have none."""


def main(argv: Sequence[str], *, prog: str) -> None:
    """Writes the predictions."""
    options = parse(Options(tyro.MISSING), argv, prog, _DESCRIPTION, "--input")
    options = replace(options, workdir=str(locate(options.workdir, check=load_config)))
    options.check(*(["--id-column"] if options.id_column is not None else []))
    if options.text and options.input is not None:
        raise UserError("--text and --input exclude each other: give the texts one way")
    if options.top is not None and options.top < 1:
        raise UserError(f"--top is {options.top}, expected 1 or more classes")
    pending: deque[list[tuple[str, Any]]] = deque()  # lists whose predictions have not come yet
    unknown, total = list[int](), 0  # places of texts, and their number

    def texts(chunks: Iterable[list[tuple[str, Any]]]) -> Iterator[list[str]]:
        for chunk in chunks:
            pending.append(chunk)
            yield [text for text, _ in chunk]

    def count(tokens: Tokens) -> None:
        found = words.mostly(tokens, [text for text, _ in pending[0]])
        unknown.extend((total + 1 + np.flatnonzero(found)).tolist())

    with _chunks(options) as chunks:
        enable_compilation_cache()
        keep_freed_memory()
        fold: Literal["auto", False] = "auto" if options.fold else False
        classifier = load(options.workdir, options.checkpoint, fold=fold, table=options.table)
        words = UnknownWords(classifier.tokenizer)
        if options.format == "csv":
            options = replace(options, top=min(options.top or 1, len(classifier.labels)))
            _write([_header(options)], options)
        for predictions in classifier.predict_stream(texts(chunks), count):
            rows = zip(predictions, pending.popleft(), strict=True)
            _write([_record(found, *row, options) for found, row in rows], options)
            total += len(predictions)
    if unknown:
        what = f"{len(unknown):,} of {total:,} texts mostly unknown to the run's vocabulary"
        print(f"Warning: {what} (language? encoding?), first text {unknown[0]:,}", file=sys.stderr)


def _record(found: Prediction, text: str, value: Any, options: Options) -> dict[str, Any]:
    value = None if value != value or value in (inf, -inf) else value
    beside = {"id": value} if options.id_column else {}
    shares = found.probabilities
    if options.top is not None:
        shares = dict(nlargest(options.top, shares.items(), key=itemgetter(1)))
    beside |= {"text": text} if options.with_text else {}
    return beside | {"label": found.label, "probabilities": shares}


def _header(options: Options) -> dict[str, Any]:
    ranks = ["", *(f"_{rank}" for rank in range(2, (options.top or 1) + 1))]
    names = {f"label{rank}": f"probability{rank}" for rank in ranks}
    return _record(Prediction("", {}), "text", "id", options) | {"probabilities": names}


def _write(records: list[dict[str, Any]], options: Options) -> None:
    """Writes records at once, as UTF-8 whatever the terminal's encoding: programs read them."""
    lines = io.StringIO()
    if options.format == "jsonl":
        each = (json.dumps(record, ensure_ascii=False, default=str) for record in records)
        lines.writelines(f"{line}\n" for line in each)
    else:
        rows = (list(record.values()) for record in records)
        csv.writer(lines).writerows([*row[:-2], *chain(*row[-1].items())] for row in rows)
    sys.stdout.buffer.write(lines.getvalue().encode("utf-8", "replace"))
    sys.stdout.buffer.flush()


@contextmanager
def _chunks(options: Options) -> Iterator[Iterable[list[tuple[str, Any]]]]:
    if options.text:
        yield [[(text, None) for text in options.text]]
    elif options.input is not None:
        trained_on = load_config(Path(options.workdir)).data
        with open_with_ids(options, trained_on, options.id_column) as chunks:
            yield chunks
    else:
        if sys.stdin is None:
            raise UserError("standard input is closed: give the texts with --text or --input")
        if sys.stdin.isatty():
            end = "Ctrl-Z" if os.name == "nt" else "Ctrl-D"
            print(f"Type a text and press Enter; {end} ends.", file=sys.stderr)
        stream = cast(BufferedIOBase, sys.stdin.buffer)
        lines = read_lines(stream, options.errors, "standard input", options.data.encoding)
        yield ([(text, None) for text in chunk] for chunk in lines)
