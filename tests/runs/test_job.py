"""The whole job on a small file: what lies in the workdir, starting again, being stopped."""

from __future__ import annotations

import dataclasses
import io
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import jax
import numpy as np
import pytest
from rich.console import Console

from wave_jax.data.config import DataConfig
from wave_jax.data.dataset import load_dataset
from wave_jax.errors import UserError
from wave_jax.inference import load
from wave_jax.models.config import ModelConfig
from wave_jax.runs.baseline import tfidf_right
from wave_jax.runs.checkpoints import restore_params
from wave_jax.runs.files import load_config
from wave_jax.runs.job import train
from wave_jax.runs.metrics_log import read_rows
from wave_jax.training.config import Config, TrainConfig

ROOT = Path(__file__).parents[2]
WORDS = {"sea": "wave tide salt boat", "land": "hill tree road farm", "sky": "cloud wind star bird"}


@pytest.fixture(scope="module")
def config(tmp_path_factory):
    folder = tmp_path_factory.mktemp("texts")
    rng = np.random.default_rng(0)
    with (folder / "texts.jsonl").open("w") as file:
        for index in range(400):
            label = list(WORDS)[index % 3]
            words = rng.choice([*WORDS[label].split(), "the", "a", "of"], rng.integers(3, 12))
            file.write(json.dumps({"text": " ".join(words), "label": label}) + "\n")
    return Config(
        data=DataConfig(source=str(folder / "texts.jsonl"), cache_dir=str(folder / "cache")),
        model=ModelConfig(dim=16, ffn_dim=16, word_dropout=0.1),
        train=TrainConfig(epochs=4, batch_size=32, learning_rate=3e-2, log_every=4),
    )


def quiet():
    return Console(file=io.StringIO(), width=100)


@pytest.fixture(scope="module")
def finished(config, tmp_path_factory):
    workdir = tmp_path_factory.mktemp("runs") / "first"
    return train(config, workdir=workdir, console=quiet()), workdir


def test_the_workdir_holds_what_it_should(finished, config):
    summary, workdir = finished
    assert summary.test_accuracy > 0.9 > 0.5 > summary.majority_share
    assert summary.steps == 4 * 8
    names = {path.name for path in workdir.iterdir()}
    assert names == {
        "config.json", "tokenizer.json", "labels.json", "environment.json", "metrics.jsonl",
        "checkpoints", "summary.json", "curves.png", "texts.npz",
    }  # fmt: skip
    assert load_config(workdir) == config
    assert set(json.loads((workdir / "labels.json").read_text())) == set(WORDS)
    environment = json.loads((workdir / "environment.json").read_text())
    assert {"packages", "device", "data_hash"} <= environment.keys()
    assert (workdir / "curves.png").read_bytes().startswith(b"\x89PNG")
    params, meta = restore_params(workdir, "best")
    assert meta["position"]["step"] == summary.best_step
    table = params["embed"]["embedding"]
    others = sum(np.size(leaf) for leaf in _leaves(params)) - table.size
    assert summary.parameters_without_table == others
    assert summary.parameters < others + table.size  # the table's padding rows do not count
    shown = quiet()
    shown.print(summary.table())
    assert "majority class" in shown.file.getvalue()


def test_started_again_it_prints_the_summary(finished, config):
    summary, workdir = finished
    console = quiet()
    before = {path: path.stat().st_mtime_ns for path in workdir.rglob("*")}
    assert train(config, workdir=workdir, console=console) == summary
    assert "is finished" in console.file.getvalue()
    assert {path: path.stat().st_mtime_ns for path in workdir.rglob("*")} == before


@pytest.fixture(scope="module")
def refitted(config, tmp_path_factory):
    """A run of the default recipe's parts, and what it printed."""
    parts = {"variants": "table", "head": "linear", "linear_path": True, "table_scale": 0.1}
    model = dataclasses.replace(config.model, ffn_dim=None, **parts)
    learning = dataclasses.replace(config.train, epochs=None, refit=True, early_stopping=1)
    both, console = dataclasses.replace(config, model=model, train=learning), quiet()
    workdir = tmp_path_factory.mktemp("refit") / "run"
    return train(both, workdir=workdir, console=console), workdir, both, console.file.getvalue()


def test_a_refit_learns_from_training_and_validation_texts(refitted):
    summary, workdir, _, shown = refitted
    assert "Refitting on the 320 training and validation texts together" in shown
    assert "312 steps of 32 texts, 39 epochs" in shown, "the rule, for 256 texts"
    rows = read_rows(workdir / "refit")
    assert {row["split"] for row in rows} == {"train"}, "nothing is validated"
    # 8 steps an epoch before, 10 after; stopped early, as long as the best epoch
    assert summary.steps < 312
    assert summary.refit_steps == summary.best_step / 8 * 10 == rows[-1]["step"]
    params, meta = restore_params(workdir / "refit", "best")
    assert meta["position"]["step"] == summary.refit_steps
    classifier = load(workdir)
    np.testing.assert_array_equal(
        classifier.params["embed"]["embedding"], params["embed"]["embedding"]
    )
    lines = Path(load_config(workdir).data.source).read_text().splitlines()
    texts = [json.loads(line) for line in lines]
    labels = [each.label for each in classifier.predict([row["text"] for row in texts])]
    assert np.mean([a == row["label"] for a, row in zip(labels, texts, strict=True)]) > 0.9


def test_an_unfinished_refit_does_not_count_and_is_taken_up_again(refitted, tmp_path):
    summary, workdir, config, _ = refitted
    shutil.copytree(workdir, tmp_path / "run")
    (tmp_path / "run" / "summary.json").unlink()
    first, _ = restore_params(tmp_path / "run")
    np.testing.assert_array_equal(
        load(tmp_path / "run").params["embed"]["embedding"], first["embed"]["embedding"]
    )
    console = quiet()
    again = train(config, workdir=tmp_path / "run", console=console)
    assert "Resuming from the checkpoint of step" in console.file.getvalue()
    assert (again.test_accuracy, again.refit_steps) == (summary.test_accuracy, summary.refit_steps)


def test_a_linear_model_is_set_beside_the_result(finished, refitted, config):
    pytest.importorskip("sklearn")
    for summary, *_ in (finished, refitted):
        assert summary.baseline_accuracy > 0.9, "words tell the classes apart"
    data = load_dataset(config.data)
    only = (data.train.texts, data.train.labels, data.test.texts, data.test.labels)
    assert finished[0].baseline_accuracy == tfidf_right(*only).mean()
    shown = quiet()
    shown.print(finished[0].table())
    assert "TF-IDF + logistic regression" in shown.file.getvalue()
    assert tfidf_right(["!", "?"], np.array([0, 1]), ["!"], np.array([0])) is None, "no words"


def test_another_configuration_is_refused(finished, config):
    _, workdir = finished
    other = dataclasses.replace(config, seed=1, model=dataclasses.replace(config.model, dim=8))
    with pytest.raises(UserError, match=r"model\.dim: 16 -> 8; seed: 0 -> 1"):
        train(other, workdir=workdir, console=quiet())


def test_a_folder_with_other_things_is_left_alone(config, tmp_path):
    (tmp_path / "thesis.tex").write_text("dear")
    with pytest.raises(UserError, match="not empty and not the folder of a run"):
        train(config, workdir=tmp_path, console=quiet())
    with pytest.raises(UserError, match="is a file"):
        train(config, workdir=tmp_path / "thesis.tex", console=quiet())
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


@pytest.mark.parametrize(
    ("field", "value"),
    [("learning_rate", 0.0), ("learning_rate", float("nan")), ("epochs", 0), ("b2", 1.0)],
)
def test_settings_out_of_range_are_refused(config, tmp_path, field, value):
    bad = dataclasses.replace(config, train=dataclasses.replace(config.train, **{field: value}))
    with pytest.raises(UserError, match=field.replace("_", "-")):
        train(bad, workdir=tmp_path / "run", console=quiet())
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("package", ["tensorboard", "wandb"])
def test_a_tracker_that_is_not_installed(config, tmp_path, package, monkeypatch):
    monkeypatch.setitem(sys.modules, {"tensorboard": "tensorboardX"}.get(package, package), None)
    wanted = dataclasses.replace(config.train, **{package: True})
    with pytest.raises(UserError, match="pip install"):
        train(dataclasses.replace(config, train=wanted), workdir=tmp_path, console=quiet())


def test_stopped_by_a_signal_it_resumes_to_the_same_parameters(finished, config, tmp_path):
    """In a process of its own, for the exit status; the oracle is the run nobody disturbed."""
    program = (
        "import dataclasses, json, sys; from pathlib import Path\n"
        "from wave_jax.runs.files import config_from_dict\n"
        "from wave_jax.runs.job import train\n"
        "train(config_from_dict(json.loads(sys.argv[1])), workdir=Path(sys.argv[2]),\n"
        "      resume_command='again please')"
    )
    arguments = [sys.executable, "-W", "error", "-c", program]
    arguments += [json.dumps(dataclasses.asdict(config)), str(tmp_path / "run")]
    environment = os.environ | {
        "JAX_COMPILATION_CACHE_DIR": jax.config.jax_compilation_cache_dir,  # as compiled here
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
    }
    process = subprocess.Popen(
        arguments, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True
    )
    deadline = time.monotonic() + 120
    while not read_rows(tmp_path / "run") and time.monotonic() < deadline:
        time.sleep(0.005)
    process.send_signal(signal.SIGTERM)
    shown, _ = process.communicate(timeout=60)
    if process.returncode == 0:
        pytest.skip("it had finished before the signal came")
    assert process.returncode == 143
    assert "again please" in shown
    summary = train(config, workdir=tmp_path / "run", console=quiet())
    for which in ("best", "last"):
        one, _ = restore_params(finished[1], which)
        two, _ = restore_params(tmp_path / "run", which)
        for a, b in zip(_leaves(one), _leaves(two), strict=True):
            np.testing.assert_array_equal(a, b)
    assert summary.test_accuracy == finished[0].test_accuracy


def _leaves(tree):
    return [leaf for value in tree.values() for leaf in (
        _leaves(value) if isinstance(value, dict) else [value]
    )]  # fmt: skip
