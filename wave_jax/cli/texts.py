"""The texts of `--input FILE`: rows of a table by its suffix, else lines."""

from __future__ import annotations

import itertools
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Literal

from wave_jax.cli.lines import MOST_LINES, text_chunks
from wave_jax.data.columns import ColumnSpec
from wave_jax.data.config import ColumnsConfig, DataConfig
from wave_jax.data.files import FORMATS, open_texts
from wave_jax.data.streams import existing, plain_suffix, user_path
from wave_jax.errors import UserError


@contextmanager
def input_chunks(
    name: str,
    errors: Literal["strict", "replace"],
    columns: ColumnsConfig,
    trained_on: DataConfig,
) -> Iterator[Iterator[list[str]]]:
    """Opens a file and gives its texts in lists, in memory that does not grow with it.

    A csv, tsv, jsonl or parquet file, compressed or not, gives a text for each row, from `columns`,
    or else from the columns of the training; whether it has labels does not matter. Any other file
    gives a text for each line.

    Raises:
      UserError: the file cannot be read; one line says where and what to do.
    """
    path = user_path(name)
    if plain_suffix(path) in FORMATS and not path.is_dir():
        asked = replace(
            columns,
            text_columns=columns.text_columns or trained_on.text_columns,
            columns=columns.columns or trained_on.columns,
        )
        yield _rows(path, errors, asked, trained_on.label_column)
        return
    if columns != ColumnsConfig():
        raise UserError(
            f"{path} is read line by line and has no columns: expected a .csv, .tsv, .jsonl or "
            ".parquet file for --data.text-columns and --data.columns"
        )
    try:
        file = path.open("rb")
        file.peek()  # a folder opens on some systems and fails here
    except FileNotFoundError:
        existing(path)
        raise
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}") from error
    with file:
        yield text_chunks(file, errors, str(path))


def _rows(
    path: Path, errors: Literal["strict", "replace"], asked: ColumnsConfig, label: str | None
) -> Iterator[list[str]]:
    wanted = ColumnSpec(asked.text_columns, label, asked.columns)
    try:
        columns, texts = open_texts(path, wanted, errors)
        if columns and not asked.text_columns:
            print(f"{path}: {columns}", file=sys.stderr)
        while chunk := list(itertools.islice(texts, MOST_LINES)):
            yield chunk
    except UserError as error:
        raise UserError(str(error).replace("--data.errors", "--errors")) from error
