"""Training from the command line: what it prints, keeps, refuses, and how it resumes."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from wave_jax.cli.train import Distributed, join_processes, new_folder, read_arguments
from wave_jax.errors import UserError

from .conftest import ROOT, TINY, Command, Done, assert_refused

FILES = "config.json environment.json labels.json metrics.jsonl summary.json tokenizer.json"


def test_a_run_tells_what_matters(trained: tuple[Path, Done]) -> None:
    folder, done = trained
    for part in ("test accuracy", "majority class", "device", str(folder), "Next:", "predict"):
        assert part in done.out
    assert f"python -m wave_jax export {folder} demo.html --format web" in done.out
    for name in FILES.split():
        assert (folder / name).is_file(), name
    assert any((folder / "checkpoints").iterdir())


def test_a_finished_run_prints_its_summary(
    trained: tuple[Path, Done], command: Command, source: list[str]
) -> None:
    folder, _ = trained
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
    done = command("train", *source, *TINY, "--train.steps", "30", "--workdir", folder)
    assert done.status == 0
    assert "finished" in done.out
    assert "test accuracy" in done.out
    assert before == {path: path.stat().st_mtime_ns for path in folder.rglob("*")}


def test_another_configuration_is_refused(
    trained: tuple[Path, Done], command: Command, source: list[str]
) -> None:
    folder, _ = trained
    done = command("train", *source, *TINY, "--train.steps", "31", "--workdir", folder)
    assert_refused(done, str(folder), "train.steps")


def test_a_foreign_folder_is_left_alone(tmp_path: Path, command: Command) -> None:
    (tmp_path / "thesis.txt").write_text("years of work")
    assert_refused(command("train", *TINY, "--workdir", tmp_path), "not empty")
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


def test_a_start_that_fails_leaves_no_folder(tmp_path: Path, command: Command) -> None:
    folder = tmp_path / "run"
    done = command("train", "--data.source", tmp_path / "none.csv", "--workdir", folder)
    assert_refused(done, "none.csv")
    assert not folder.exists()
    folder.mkdir()  # the user's own
    assert_refused(command("train", "--data.source", tmp_path / "none.csv", "--workdir", folder))
    assert folder.is_dir()
    assert not [*folder.iterdir()]


@pytest.mark.parametrize(
    "options",
    [
        ["--train.epochs", "0"],
        ["--data.test-fraction", "1"],
        ["--model.dim", "0"],
        ["--data.vocab", "none.txt"],
        ["--mesh.data", "999"],
        ["--train.init-from", "nowhere"],
    ],
)
def test_a_rejected_run_leaves_nothing_in_runs(
    options: list[str], tmp_path: Path, source: list[str], command: Command,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    assert_refused(command("train", *source, *TINY, *options))
    assert [*tmp_path.glob("runs/*")] == []


def test_ctrl_c_before_anything_was_learned_leaves_no_folder_and_no_trace(
    tmp_path: Path, source: list[str]
) -> None:
    start = [sys.executable, str(ROOT / "train.py"), *source, *TINY, "--train.steps", "9999"]
    with subprocess.Popen(
        start, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=tmp_path
    ) as running:
        deadline = time.monotonic() + 60
        while not [*tmp_path.glob("runs/*/environment.json")] and time.monotonic() < deadline:
            time.sleep(0.001)
        for _ in range(2):
            running.send_signal(signal.SIGINT)
            time.sleep(0.02)
        out, err = running.communicate(timeout=60)
    assert running.returncode == 130, err
    assert "Traceback" not in out + err
    assert "before anything was learned" in out
    assert [*tmp_path.glob("runs/*")] == []


def test_a_run_without_a_test_split(
    tmp_path: Path, source: list[str], texts: Path, command: Command
) -> None:
    """With balanced classes and another choice of the best epoch, as it trains anyway."""
    folder, chosen = tmp_path / "run", ["--train.select-by", "macro-f1"]
    options = [*TINY, "--train.steps", "4", "--train.class-weights", "balanced", *chosen]
    argv = ["train", *source, *options, "--data.test-fraction", "0", "--workdir", folder]
    done = command(*argv, "--train.baseline")
    assert done.status == 0, done.err
    assert "192 texts for training, 48 for validation, no test split" in done.out
    assert "TF-IDF" not in done.out
    summary = json.loads((folder / "summary.json").read_text())
    assert summary["test_accuracy"] is summary["test_loss"] is summary["majority_share"] is None
    assert (summary["test_examples"], summary["selected_by"]) == (0, "macro-f1")
    assert f"best macro-f1 ({summary['validation_score']:.4f}) at step" in done.out
    assert f"evaluate {folder} --data.test FILE" in done.out
    assert "no test split" in command(*argv).out, "the summary of a finished run"
    assert_refused(command("evaluate", folder), "has no test split", "--data.test")
    done = command("evaluate", folder, "--data.test", texts, "--json")
    assert json.loads(done.out)["examples"] == 240
    done = command("probe", folder, "--example", "0", "--split", "test")
    assert_refused(done, "the test split has no examples")


def test_without_workdir_there_is_always_a_new_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("time.strftime", lambda _: "20260101-000000")
    folders = [str(new_folder("ag_news")) for _ in range(3)]
    stem = os.path.join("runs", "ag_news-20260101-000000")
    assert folders == [stem, f"{stem}-2", f"{stem}-3"]


def test_ctrl_c_saves_and_the_command_shown_resumes(tmp_path: Path, source: list[str]) -> None:
    folder = tmp_path / "run"
    options = [*source, *TINY, "--train.steps", "400", "--train.eval-every", "400"]
    start = [sys.executable, str(ROOT / "train.py"), *options, "--workdir", str(folder)]
    with subprocess.Popen(
        start, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as running:
        _wait_for_rows(folder / "metrics.jsonl", running)
        running.send_signal(signal.SIGINT)
        out, err = running.communicate(timeout=120)
    assert running.returncode == 130, err
    assert "Traceback" not in out + err
    assert f"--workdir {folder}" in out
    stopped = max(_steps(folder))
    assert stopped < 400

    done = subprocess.run(start, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert "Resuming from the checkpoint of step" in done.stdout
    steps = _steps(folder)
    assert steps == sorted(steps)
    assert steps[-1] == 400


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"coordinator": "localhost:1234"}, "needs --distributed.processes N"),
        ({"coordinator": "here", "processes": 2, "process": 0}, "expected HOST:PORT"),
        ({"auto": True, "timeout": 4}, "distributed.timeout is 4, expected 5 or more"),
        ({"auto": True, "wait": 4}, "distributed.wait is 4, expected 5 or more"),
        ({"processes": 0}, "distributed.processes is 0"),
        ({"processes": 2, "process": 2}, "distributed.process is 2, expected 0 to"),
    ],
)
def test_wrong_options_of_processes(options: dict[str, Any], said: str) -> None:
    with pytest.raises(UserError, match=said), join_processes(Distributed(**options)):
        pytest.fail("it was joined")


def test_a_port_that_is_taken() -> None:
    with socket.create_server(("", 0)) as taken:
        where = f"localhost:{taken.getsockname()[1]}"
        options = Distributed(coordinator=where, processes=2, process=0)
        with pytest.raises(UserError, match="in use.*give another"), join_processes(options):
            pytest.fail("it was joined")


@pytest.mark.parametrize("flag", ["--distributed", "--distributed.auto"])
def test_the_flag_alone_finds_the_others(flag: str) -> None:
    where = ("--distributed.coordinator", "node:1234")
    found = read_arguments([flag, *where, "--seed", "1"], prog="train").distributed
    assert found == Distributed(auto=True, coordinator="node:1234")


def _wait_for_rows(path: Path, running: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and running.poll() is None:
        if path.is_file() and path.read_text().count("\n") >= 2:
            return
        time.sleep(0.02)
    raise AssertionError(f"no rows in {path}; status {running.poll()}")


def _steps(folder: Path) -> list[int]:
    rows = map(json.loads, (folder / "metrics.jsonl").read_text().splitlines())
    return [row["step"] for row in rows if row["split"] == "train"]


def test_scopes_of_sentences_are_no_obstacle_to_what_comes_next(
    command: Command, tmp_path: Path
) -> None:
    rows = [f"{name} {i}. And {name} again.,{name}" for i in range(20) for name in ("sea", "land")]
    texts = tmp_path / "texts.csv"
    texts.write_text("\n".join(["text,label", *rows]), "utf-8")
    shape = ("--model.scopes", "sentence", "input", "--data.ngrams", "1", "--data.stems")
    options = [*TINY, "--train.steps", "2", *shape, "--workdir", tmp_path / "run"]
    done = command("train", "--data.source", texts, *options)
    assert done.status == 0, done.err
    assert "wave_jax predict" in done.out
    assert "demo.html" not in done.out, "a page cannot run it"
