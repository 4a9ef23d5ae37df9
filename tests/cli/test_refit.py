"""A run with a refit, from the shell: what is scored with which parameters, and what is refused."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from .conftest import Command, assert_refused


@pytest.fixture(scope="module")
def noise(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Texts with labels drawn at random: nothing can be learned of them, but they can be kept."""
    path, rng = tmp_path_factory.mktemp("noise") / "noise.csv", np.random.default_rng(0)
    words = [f"w{i}" for i in range(300)]
    rows = [",".join([" ".join(rng.choice(words, 12)), f"t{i % 40}", rng.choice(["a", "b"])])
            for i in range(240)]  # fmt: skip
    path.write_text("text,title,label\n" + "\n".join(rows) + "\n")
    return path


def test_validation_is_scored_with_parameters_that_have_not_seen_it(
    noise: Path, command: Command, tmp_path: Path
) -> None:
    run = str(tmp_path / "run")
    given = ("--data.source", str(noise), "--workdir", run, "--train.learning-rate", "0.05")
    done = command("train", *given, "--data.text-columns", "text")
    assert done.status == 0, done.err
    scores = {}
    for split in ("train", "validation", "test"):
        told = command("evaluate", run, "--split", split, "--json")
        assert told.status == 0, told.err
        row = json.loads(told.out)
        scores[split] = row["accuracy"]
        assert row["duplicates"] == (row["examples"] if split == "train" else 0)
    summary = json.loads((tmp_path / "run" / "summary.json").read_text())
    assert scores["validation"] == summary["validation_accuracy"]
    assert scores["test"] == summary["test_accuracy"]
    assert scores["train"] > 0.8 > max(scores["validation"], scores["test"]), "it is noise"
    # all 240 but the test's
    told = command(
        "evaluate", run, "--data.source", shutil.copy(noise, tmp_path / "c.csv"), "--json"
    )
    assert json.loads(told.out)["duplicates"] == 240 - summary["test_examples"]
    # a shorter text is no other split, and another column may be one
    assert command("evaluate", run, "--data.max-length", "9", "--json").status == 0
    told = command("evaluate", run, "--data.text-columns", "title")
    assert_refused(told, "was drawn as the training read", "leave out --data.text-columns")
