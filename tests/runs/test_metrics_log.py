"""metrics.jsonl: appended, trimmed, and readable whatever a crash left."""

from __future__ import annotations

import json

from wave_jax.runs.metrics_log import MetricsLog, read_rows, trim


def test_rows_are_appended_and_trimmed(tmp_path):
    log = MetricsLog(tmp_path)
    for step in (1, 2, 3):
        log.write({"step": step, "split": "train", "loss": float("nan") if step == 2 else 0.5})
    assert [row["step"] for row in read_rows(tmp_path)] == [1, 2, 3]  # before it is closed
    log.close()
    with (tmp_path / "metrics.jsonl").open("a") as file:
        file.write('{"step": 4, "spl')
    assert [row["loss"] for row in read_rows(tmp_path)] == [0.5, None, 0.5]
    trim(tmp_path, 2)
    lines = (tmp_path / "metrics.jsonl").read_text().splitlines()
    assert [json.loads(line)["step"] for line in lines] == [1, 2]


def test_no_file_is_no_rows(tmp_path):
    trim(tmp_path, 3)
    assert read_rows(tmp_path) == []
