"""`export` writes whole folders, checks them on the run's texts, and says why where it cannot."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.cli.conftest import Command, Done, assert_refused
from tests.inference.test_classifier import _classifier
from wave_jax.errors import UserError
from wave_jax.export import files
from wave_jax.export.hub import write_hub
from wave_jax.models import ModelConfig

WORDS = b"waves tide ship\nhill barn\n\nclear blue cloud\n"


@pytest.fixture(scope="module")
def hub(trained: tuple[Path, Done], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny run's network in Hugging Face's layout."""
    from wave_jax.cli.export import main

    folder = tmp_path_factory.mktemp("export") / "hub"
    main([str(trained[0]), str(folder), "--format", "hub"], prog="export")
    return folder


def test_a_folder_for_the_hub(
    trained: tuple[Path, Done], hub: Path, command: Command, tmp_path: Path
) -> None:
    names = {"config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"}
    assert {file.name for file in hub.iterdir()} == {*names, "ngrams.npz", "README.md"}
    own, exported = (command("predict", folder, stdin=WORDS) for folder in (trained[0], hub))
    assert own.status == 0
    assert exported.out == own.out
    done = command("export", trained[0], tmp_path / "again", "--format", "hub")
    assert done.status == 0
    first, second = done.out.splitlines()
    assert first.startswith(f"Written: {tmp_path / 'again'} (")
    assert second.startswith("checked on 48 test texts: logits equal to the bit")
    assert second.endswith("after")
    card = (hub / "README.md").read_text("utf-8")
    assert '"test_accuracy": ' in card
    done = command("export", hub, tmp_path / "third", "--format", "hub")
    assert done.status == 0
    assert (tmp_path / "third" / "README.md").read_text("utf-8") == card, "data and results stay"


def test_a_quantised_table_labels_alike(trained: tuple[Path, Done], command: Command) -> None:
    own = command("predict", trained[0], stdin=WORDS)
    done = command("predict", trained[0], "--table", "int8", stdin=WORDS)
    rows = [[json.loads(line) for line in each.out.splitlines()] for each in (own, done)]
    assert [row["label"] for row in rows[0]] == [row["label"] for row in rows[1]]
    assert rows[0] != rows[1]
    done = command("predict", trained[0], "--table", "int8", "--no-fold", stdin=WORDS)
    assert_refused(done, "no table in int8: there is none with fold=False (--no-fold)")


def test_onnx(hub: Path, command: Command, tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime")
    done = command("export", hub, tmp_path / "out", "--format", "onnx", "--table", "int8")
    assert done.status == 0, done.err
    # an exported model finds the texts of its training no more
    assert "checked on 200 texts of random tokens (" in done.out
    assert (tmp_path / "out" / "model.onnx").is_file()
    done = command("predict", tmp_path / "out", stdin=WORDS)
    assert_refused(done, "is an exported model without model.safetensors: expected a run")
    done = command("predict", tmp_path / "out" / "model.onnx", stdin=WORDS)
    assert_refused(done, "model.onnx is a file: expected the workdir of a training run")


def test_what_cannot_be_exported(
    trained: tuple[Path, Done], hub: Path, command: Command, tmp_path: Path
) -> None:
    write_hub(_classifier(ModelConfig(kind="mean", dim=8)), tmp_path / "mean", {})
    (tmp_path / "taken").write_text("mine")
    table = ("--format", "onnx", "--table", "int8")
    for argv, said in [
        ((tmp_path / "mean", "out", "--format", "onnx"), "network is a MeanClassifier"),
        ((tmp_path, "out", "--format", "hub"), "holds no config.json, did you mean"),
        ((hub, "taken", "--format", "hub"), "taken exists already: give a new name"),
        ((hub, "no/out", "--format", "hub"), "no: make it first, or give another name than"),
        ((hub, "taken/out", "--format", "web"), "taken: make it first"),
        ((hub, "out", *table[2:], "--format", "hub"), "--table is for --format onnx"),
        ((hub, "out", "--format", "onnx", "--no-examples"), "--no-examples is for --format web"),
        ((hub, "out", "--format", "onxx"), "--format"),
        ((hub, "out"), "--format"),
    ]:
        done = command("export", argv[0], tmp_path / argv[1], *argv[2:])
        assert_refused(done, said)
    assert {path.name for path in tmp_path.iterdir()} == {"mean", "taken"}
    assert (tmp_path / "taken").read_text() == "mine"


def test_a_missing_package(
    hub: Path, command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    monkeypatch.setitem(sys.modules, "onnx", sys)
    done = command("export", hub, tmp_path / "out", "--format", "onnx")
    assert_refused(done, "needs the package onnxruntime: pip install onnx onnxruntime")
    assert not list(tmp_path.iterdir())


def test_nothing_is_kept_of_what_says_something_else(
    hub: Path, command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "_MOST_DIFFERENT", -1.0)
    monkeypatch.setattr(files, "_TIES", -1)
    done = command("export", hub, tmp_path / "out", "--format", "hub")
    assert_refused(done, "it was not kept, this network cannot be exported in this format")
    assert not list(tmp_path.iterdir())


def test_a_few_ties_are_no_reason_to_refuse() -> None:
    expected = np.tile(np.array([[0.5, 0.4999]]), (10, 1))
    found = expected.copy()
    found[:2] = [0.4999, 0.5]
    assert "labels of 80.00%" in files.compare(expected, found, None)
    found[2] = [0.4999, 0.5]
    with pytest.raises(UserError, match="70.0% of 10 texts"):
        files.compare(expected, found, None)


def test_a_run_that_is_not_finished_says_so(
    trained: tuple[Path, Done], command: Command, tmp_path: Path
) -> None:
    unfinished = shutil.copytree(trained[0], tmp_path / "run")
    (unfinished / "summary.json").unlink()
    done = command("export", unfinished, tmp_path / "hub", "--format", "hub")
    assert done.status == 0
    assert done.out.startswith("The run is not finished: this is what it has validated best so far")
