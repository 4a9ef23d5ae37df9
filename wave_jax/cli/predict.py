"""`python -m wave_jax predict`: a JSON object with label and probabilities for every text."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from io import BufferedIOBase
from pathlib import Path
from typing import Literal, cast

import tyro

from wave_jax.cli.app import parse
from wave_jax.cli.texts import TextOptions, open_input, read_lines
from wave_jax.errors import UserError
from wave_jax.inference import load
from wave_jax.runs.files import load_config
from wave_jax.training.compilation import enable_compilation_cache, keep_freed_memory

_DESCRIPTION = """Labels texts: one JSON object a line, {"label": ..., "probabilities": {...}}.

Examples:
  python -m wave_jax predict runs/ag --text "Shares rise on Wall Street"
  python -m wave_jax predict runs/ag < texts.txt > labels.jsonl
  python -m wave_jax predict runs/ag --input texts.txt --errors replace
  python -m wave_jax predict runs/ag --input new.csv --data.text-columns title body

Texts are lines of UTF-8, from standard input without --text or --input; an empty line is an empty
text. In a .csv, .tsv, .jsonl or .parquet file, compressed or not, each row is a text. The order is
kept, and memory does not grow with the number of texts."""


@dataclass(frozen=True)
class Options(TextOptions):
    """What to label, and with what."""

    fold: bool = True
    """Precompute the projection of every token as a lookup table of at most 1 GiB: several times as
    fast, for 6 kB of memory a token of the vocabulary at 768 dimensions. Networks that need every
    token's wave have none."""


def main(argv: Sequence[str], *, prog: str) -> None:
    """Writes the predictions."""
    options = parse(Options(tyro.MISSING), argv, prog, _DESCRIPTION, "--input")
    options.check()
    if options.text and options.input is not None:
        raise UserError("--text and --input exclude each other: give the texts one way")
    with _chunks(options) as chunks:
        enable_compilation_cache()
        keep_freed_memory()
        fold: Literal["auto", False] = "auto" if options.fold else False
        classifier = load(options.workdir, options.checkpoint, fold=fold)
        for predictions in classifier.predict_stream(chunks):
            rows = ({"label": p.label, "probabilities": p.probabilities} for p in predictions)
            lines = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
            # UTF-8 whatever the terminal's encoding: this output is for programs
            sys.stdout.buffer.write(lines.encode("utf-8", "replace"))
            sys.stdout.buffer.flush()


@contextmanager
def _chunks(options: Options) -> Iterator[Iterable[list[str]]]:
    if options.text:
        yield [list(options.text)]
    elif options.input is not None:
        with open_input(options, load_config(Path(options.workdir)).data) as chunks:
            yield chunks
    else:
        if sys.stdin is None:
            raise UserError("standard input is closed: give the texts with --text or --input")
        if sys.stdin.isatty():
            print("Type a text and press Enter; Ctrl-D ends.", file=sys.stderr)
        stream = cast(BufferedIOBase, sys.stdin.buffer)
        yield read_lines(stream, options.errors, "standard input")
