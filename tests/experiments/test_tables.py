"""The rows of tables, and which runs they are made of."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

from tests.experiments.conftest import NEWS, TINY, tiny_plan
from wave_jax.experiments.plan import Checkpoint
from wave_jax.experiments.tables import ablation_jobs, draw_table1, draw_table2, table1_jobs


def record(test: float, validation: float) -> dict[str, Any]:
    result = {"test_accuracy": test, "validation_accuracy": validation, "step_bytes": 2**20}
    return {"result": result | {"rows": [{"epoch": 2.0}]}, "time": {"seconds": 3.0}}


def test_a_row_has_mean_and_spread_over_seeds_beside_the_papers_figures(tmp_path: Path) -> None:
    found = {("transformer", "paper's rate"): [record(0.9, 0.8), record(0.92, 0.8)]}
    ((_, rows),) = draw_table1(tiny_plan(tmp_path), found).tables
    assert rows == [[
        "Transformer, one layer", "paper's rate", "71.68", "91.00 ± 1.41", "+19.32",
        "80.00 ± 0.00", "2", "0.85", "1", "173", "1.5",
    ]]  # fmt: skip
    other = tiny_plan(tmp_path, dataclasses.replace(NEWS, name="mine"))
    ((_, rows),) = draw_table1(other, found).tables
    assert rows[0][2:5] == ["–", "91.00 ± 1.41", "–"], "the paper has no such data set"


def test_the_comparison_takes_what_validated_best(tmp_path: Path) -> None:
    found = {
        ("modulation", "a"): [record(0.9, 0.5)],
        ("interference", "b"): [record(0.7, 0.6)],
        ("transformer", "c"): [record(0.6, 0.6)],
    }
    plan = tiny_plan(tmp_path)
    assert "margin" not in draw_table1(plan, found).values["comparison"], "the mean is missing"
    found["mean", "d"] = [record(0.5, 0.5)]
    text = draw_table1(plan, found).values["comparison"]
    assert "70.00 % (Wave, interference, b)" in text
    assert "The wave's margin over the Transformer is +10.00 points" in text


def test_a_checkpoint_changes_what_bert_is_called_and_adds_its_embeddings(tmp_path: Path) -> None:
    for checkpoint, setting in ((None, "from scratch"), (Checkpoint("", "bert"), "fine-tuned")):
        plan = tiny_plan(tmp_path, pretrained=checkpoint)
        name, rows = draw_table2(plan, {("AG News", "bert"): [record(0.9, 0.9)]}).tables[0]
        assert name == "accuracy: AG News (96 + 24 + 40 texts)"
        assert rows[0][1] == setting
        added = any("embeddings of BERT" in setting for _, setting in table1_jobs(plan))
        assert added == (checkpoint is not None)


def test_scopes_of_sentences_need_sentences(tmp_path: Path) -> None:
    plain = dataclasses.replace(NEWS, sentences=False)
    kept, fewer = (ablation_jobs(tiny_plan(tmp_path, data)) for data in (NEWS, plain))
    assert kept.keys() - fewer.keys() == {"sentence scope for one variant"}
    (run,) = kept["sentence scope for one variant"]
    assert run.config["model"]["scopes"] == ["sentence", "input"]
    (run,) = kept["feed-forward four times as wide"]
    assert run.config["model"]["ffn_dim"] == 4 * TINY.dim
