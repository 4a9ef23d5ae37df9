"""The rows of tables, and which runs they are made of."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

from tests.experiments.conftest import NEWS, TINY, tiny_plan
from wave_jax.experiments.costs import count_parameters
from wave_jax.experiments.plan import SCALES, Checkpoint
from wave_jax.experiments.tables import ablation_jobs, draw_table1, draw_table2, table1_jobs
from wave_jax.experiments.training_runs import rate_trials
from wave_jax.models.config import ModelConfig


def record(test: float, validation: float) -> dict[str, Any]:
    result = {"test_accuracy": test, "validation_accuracy": validation, "step_bytes": 2**20}
    return {"result": result | {"rows": [{"epoch": 2.0}]}, "time": {"seconds": 3.0}}


def test_a_row_has_mean_and_spread_over_seeds_beside_the_papers_figures(tmp_path: Path) -> None:
    found = {("transformer", "paper's rate"): [record(0.9, 0.8), record(0.92, 0.8)]}
    ((_, rows),) = draw_table1(tiny_plan(tmp_path), found).tables
    assert rows == [[
        "Transformer, one layer", "paper's rate", "71.68", "91.00 ± 1.41", "80.00 ± 0.00", "2",
        "0.85", "1", "173", "1.5",
    ]], "nothing is subtracted from the papers' figures"  # fmt: skip
    other = tiny_plan(tmp_path, dataclasses.replace(NEWS, name="mine"))
    ((_, rows),) = draw_table1(other, found).tables
    assert rows[0][2:4] == ["–", "91.00 ± 1.41"], "the paper has no such data set"


def test_a_tuned_rate_at_the_edge_of_the_grid_is_marked(tmp_path: Path) -> None:
    wide = dataclasses.replace(TINY, learning_rates=(1e-3, 3e-3, 1e-2))
    for best, mark in ((1e-3, ", the smallest tried"), (3e-3, ""), (1e-2, ", the largest tried")):
        plan = dataclasses.replace(tiny_plan(tmp_path / str(best)), scale=wide)
        assert ("trials", "fnet none yet") in table1_jobs(plan)
        for rate, trial in rate_trials(plan, "fnet").items():
            result, time = {"validation_accuracy": float(rate == best)}, {"total_seconds": 1}
            plan.records.save(trial.key, config={}, seed=0, result=result, time=time)
            if rate == min(wide.learning_rates):
                first = f"rate {rate:g}, the only one tried, tuned"
                assert ("fnet", first) in table1_jobs(plan)
        (setting,) = (setting for name, setting in table1_jobs(plan) if name == "fnet")
        assert setting == f"rate {best:g}{mark}, tuned"
        assert ("trials", "fnet 0.001, 0.003, 0.01") in table1_jobs(plan)


def test_a_checkpoint_changes_what_bert_is_called_and_adds_its_embeddings(tmp_path: Path) -> None:
    for checkpoint, start, setting in (
        (None, "from scratch", "rate 0.0003"),
        (Checkpoint("", "bert"), "fine-tuned", "paper's rate"),
    ):
        plan = tiny_plan(tmp_path, pretrained=checkpoint)
        name, rows = draw_table2(plan, {("AG News", "bert"): [record(0.9, 0.9)]}).tables[0]
        assert name == "accuracy: AG News (96 + 24 + 40 texts)"
        assert rows[0][:2] == [f"BERT, 1 layers, {start}", setting]
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


def test_ablations_have_seeds_of_their_own_and_the_paper_to_the_letter(tmp_path: Path) -> None:
    five = dataclasses.replace(tiny_plan(tmp_path), scale=SCALES["paper"])
    runs = ablation_jobs(five)["the paper to the letter"]
    assert [run.seed for run in runs] == [0, 1, 2, 3, 4], "whatever other tables have"
    model = runs[0].config["model"]
    assert (model["position"], model["norms"], model["word_dropout"]) == ("sinusoidal", 1, 0)
    shapes = count_parameters(ModelConfig(**model))
    assert shapes[1] == 2_366_980, "what the papers' 2.4 million are"
