"""A corpus written to a folder, so that a run can be repeated on the very same texts."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING

from wave_jax.data.folder import LABELS

if TYPE_CHECKING:
    from wave_jax.data.corpus import Corpus, Split


def write_snapshot(corpus: Corpus, folder: Path) -> None:
    """Writes train.jsonl, validation.jsonl, test.jsonl and labels.json to `folder`.

    The folder is itself a source (`--data.source FOLDER`) that gives the same corpus again. Each
    file appears whole or not at all; labels.json comes last, and so marks a complete snapshot.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for part in ("train", "validation", "test"):
        _write(folder / f"{part}.jsonl", _lines(getattr(corpus, part), corpus.label_names))
    _write(folder / LABELS, json.dumps(list(corpus.label_names), ensure_ascii=False) + "\n")


def _lines(split: Split, names: tuple[str, ...]) -> str:
    rows = zip(split.texts, split.labels.tolist(), strict=True)
    return "".join(
        json.dumps({"text": text, "label": names[label]}, ensure_ascii=False) + "\n"
        for text, label in rows
    )


def _write(path: Path, text: str) -> None:
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    partial.write_text(text, encoding="utf-8", newline="\n")
    partial.replace(path)
