"""metrics.jsonl: one row a line, appended while training, trimmed to the checkpoint at resume."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

from wave_jax.training.writing import write_whole

METRICS_FILE = "metrics.jsonl"


class Writer(Protocol):
    """Where rows of metrics go."""

    def write(self, row: Mapping[str, Any]) -> None:
        """Takes a row with at least `step` and `split`."""

    def close(self) -> None:
        """Writes out what is still held."""


class MetricsLog:
    """Appends rows to `workdir/metrics.jsonl`; each is on disk for any reader once written."""

    def __init__(self, workdir: Path) -> None:
        self._file = (workdir / METRICS_FILE).open("a", encoding="utf-8")

    def write(self, row: Mapping[str, Any]) -> None:
        """Appends a row; numbers that are not finite become null, as JSON has none."""
        plain = {
            name: None if isinstance(value, float) and not math.isfinite(value) else value
            for name, value in row.items()
        }
        self._file.write(json.dumps(plain) + "\n")
        self._file.flush()

    def close(self) -> None:
        """Closes the file."""
        self._file.close()


def read_rows(workdir: Path) -> list[dict[str, Any]]:
    """Returns the rows of metrics.jsonl; a last line cut short by a crash is left out."""
    path = Path(workdir) / METRICS_FILE
    if not path.exists():
        return []
    rows = []
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        try:
            row = json.loads(line)
        except ValueError:
            continue
        if isinstance(row, dict) and isinstance(row.get("step"), int):
            rows.append(row)
    return rows


def trim(workdir: Path, step: int) -> None:
    """Drops the rows after `step`, which a resumed run will write again."""
    path = workdir / METRICS_FILE
    if not path.exists():
        return
    kept = [row for row in read_rows(workdir) if row["step"] <= step]
    write_whole(path, "".join(json.dumps(row) + "\n" for row in kept))
