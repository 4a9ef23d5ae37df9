"""`python -m wave_jax predict`: a JSON object with label and probabilities for every line."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from io import BufferedIOBase
from pathlib import Path
from typing import Annotated, Literal

import tyro

from wave_jax.cli.arguments import parse
from wave_jax.cli.lines import text_chunks
from wave_jax.cli.texts import input_chunks
from wave_jax.data.config import ColumnsConfig
from wave_jax.errors import UserError
from wave_jax.inference import Prediction, load
from wave_jax.runs.config_file import load_config
from wave_jax.training.compilation import enable_compilation_cache, keep_freed_memory

_DESCRIPTION = """Labels texts: one JSON object a line, {"label": ..., "probabilities": {...}}.

Examples:
  python -m wave_jax predict runs/ag --text "Shares rise on Wall Street"
  python -m wave_jax predict runs/ag < texts.txt > labels.jsonl
  python -m wave_jax predict runs/ag --input texts.txt --errors replace
  python -m wave_jax predict runs/ag --input new.csv --data.text-columns title body

Texts are lines of UTF-8, from standard input without --text or --input; an empty line is an empty
text. Of a .csv, .tsv, .jsonl or .parquet file, compressed or not, each row is a text. The order is
kept, and any number of texts is read in the same memory."""


@dataclass(frozen=True)
class Options:
    """What to label, and with what."""

    workdir: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="WORKDIR")]
    """Folder of a trained run."""
    text: tyro.conf.UseAppendAction[tuple[str, ...]] = ()
    """A text to label; may be given several times."""
    input: str | None = None
    """File with a text on each line; or a csv, tsv, jsonl or parquet file, with or without labels,
    a text in each row."""
    checkpoint: Literal["best", "last"] = "best"
    """Parameters of the best validation, or the newest."""
    fold: bool = True
    """Make the projection a lookup table of at most 1 GiB: several times as quick, 6 kB of memory a
    piece of the vocabulary at 768 dimensions. Networks that need every token's wave have none."""
    errors: Literal["strict", "replace"] = "strict"
    """Bytes that are not UTF-8: 'strict' stops and names the line, 'replace' puts U+FFFD in."""
    data: ColumnsConfig = field(default_factory=ColumnsConfig)
    """Columns of such a file: those of the training, unless given here."""


def main(argv: Sequence[str], *, prog: str) -> int:
    """Writes the predictions; returns the exit status."""
    options = parse(Options(tyro.MISSING), argv, prog=prog, description=_DESCRIPTION)
    if options.text and options.input is not None:
        raise UserError("--text and --input exclude each other: give the texts one way")
    if options.input is None and options.data != ColumnsConfig():
        raise UserError("--data.text-columns and --data.columns need --input FILE, a table")
    with _texts(options) as chunks:
        enable_compilation_cache()
        keep_freed_memory()
        classifier = load(
            options.workdir, options.checkpoint, fold="auto" if options.fold else False
        )
        for predictions in classifier.predict_stream(chunks):
            _write(predictions)
    return 0


@contextmanager
def _texts(options: Options) -> Iterator[Iterable[list[str]]]:
    if options.text:
        yield [list(options.text)]
    elif options.input is None:
        if sys.stdin is None:
            raise UserError("standard input is closed: give the texts with --text or --input")
        if sys.stdin.isatty():
            print("Type a text and press Enter; Ctrl-D ends.", file=sys.stderr)
        stream = sys.stdin.buffer
        assert isinstance(stream, BufferedIOBase)
        yield text_chunks(stream, options.errors, "standard input")
    else:
        trained_on = load_config(Path(options.workdir)).data
        with input_chunks(options.input, options.errors, options.data, trained_on) as chunks:
            yield chunks


def _write(predictions: Sequence[Prediction]) -> None:
    """Writes UTF-8 whatever the terminal's encoding: this output is for programs."""
    rows = (
        json.dumps({"label": item.label, "probabilities": item.probabilities}, ensure_ascii=False)
        for item in predictions
    )
    sys.stdout.buffer.write("".join(f"{row}\n" for row in rows).encode("utf-8", "replace"))
    sys.stdout.buffer.flush()
