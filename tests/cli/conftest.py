"""A tiny run, trained once, and ways to call commands."""

from __future__ import annotations

import csv
import io
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest

from wave_jax.cli import main

ROOT = Path(__file__).parents[2]
WORDS = {
    "sea": ["waves", "tide", "ship", "sail", "salt", "deep"],
    "land": ["hill", "field", "grass", "road", "stone", "barn"],
    "sky": ["cloud", "wind", "star", "moon", "blue", "high"],
}
TINY = [
    *["--model.dim", "16", "--train.batch-size", "16"],
    *["--data.max-length", "16", "--train.log-every", "5", "--train.learning-rate", "0.01"],
    *["--model.dropout", "0", "--model.word-dropout", "0"],
    *["--train.epochs", "8", "--train.no-refit", "--train.no-baseline"],  # see test_refit.py
]


class Done(NamedTuple):
    """What a command left."""

    status: int
    out: str
    err: str


Command = Callable[..., Done]


def write_texts(path: Path, count: int, seed: int = 0, labels: tuple[str, ...] = ()) -> Path:
    """Writes a csv of texts that are easy to tell apart."""
    rng = np.random.default_rng(seed)
    names = labels or tuple(WORDS)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["title", "body", "topic"])
        for k in range(count):
            name = names[k % len(names)]
            words = rng.choice(WORDS.get(name, ["odd"]), size=rng.integers(1, 9))
            writer.writerow([words[0], " ".join(words[1:]), name])
    return path


@pytest.fixture(scope="session", autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Keeps tokens and compiled programs out of the user's cache."""
    folder = tmp_path_factory.mktemp("cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(folder))
        yield folder


@pytest.fixture(scope="session")
def texts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_texts(tmp_path_factory.mktemp("texts") / "texts.csv", 240)


@pytest.fixture(scope="session")
def source(texts: Path) -> list[str]:
    """The options that name the texts."""
    columns = ["--data.text-columns", "title", "body", "--data.label-column", "topic"]
    return ["--data.source", str(texts), *columns]


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory, source: list[str]) -> tuple[Path, Done]:
    """A finished run's folder and what the training printed; a process of its own."""
    folder = tmp_path_factory.mktemp("runs") / "tiny"
    done = process("train.py", *source, *TINY, "--train.steps", "30", "--workdir", str(folder))
    assert done.status == 0, done.err
    return folder, done


@pytest.fixture
def command(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Command:
    """Calls `main(argv)` in this process: the same path as a shell's, without its seconds."""

    def call(*argv: object, stdin: bytes = b"") -> Done:
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(stdin)))
        capsys.readouterr()
        try:
            status = main([str(argument) for argument in argv])
        except SystemExit as end:  # tyro's, of --help and of wrong options
            status = end.code
        return Done(status, *capsys.readouterr())

    return call


def process(script: str, *argv: object, stdin: bytes = b"", cwd: Path | None = None) -> Done:
    """Runs a script of the repository, or '-m' and a module, as a user would."""
    start = [sys.executable, *(["-m"] if script == "wave_jax" else [])]
    done = subprocess.run(
        [*start, script if script == "wave_jax" else str(ROOT / script), *map(str, argv)],
        input=stdin,
        capture_output=True,
        cwd=cwd,
        env=dict(os.environ, COLUMNS="100"),
        timeout=300,
    )
    return Done(done.returncode, done.stdout.decode(), done.stderr.decode())


def assert_refused(done: Done, *parts: str) -> None:
    """Status 2, no traceback, `parts` in one line on stderr, or in tyro's box of a wrong option."""
    assert done.status == 2, done
    assert "Traceback" not in done.out + done.err
    said = done.err
    if "For full helptext" in said:
        said = " ".join(said.replace("│", " ").split())
    else:
        assert said.startswith("error: ")
        assert said.count("\n") == 1, said
    for part in parts:
        assert part in said, said
