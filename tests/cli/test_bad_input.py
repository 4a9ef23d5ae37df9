"""Bad input is one line and exit status 2; what can be read is read."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from .conftest import TINY, Command, Done, assert_refused

GOOD = "text,label\n" + "".join(f"good words {k},{'ab'[k % 2]}\n" for k in range(40))

REFUSED = {
    "missing file": (None, [], ["texts.csv"]),
    "empty file": ("", [], ["texts.csv"]),
    "header alone": ("text,label\n", [], ["texts.csv"]),
    "missing column": (GOOD, ["--data.text-columns", "tekst"], ["'tekst'", "text"]),
    "missing label column": (GOOD, ["--data.label-column", "topic"], ["'topic'"]),
    "one class": ("text,label\n" + "words,a\n" * 40, [], ["'a'", "two classes"]),
    "no header": ("".join(f"{k % 2},some words\n" for k in range(40)), [], ["--data.columns"]),
    "invalid UTF-8": (GOOD.encode() + b"b\xffd,a\n", [], ["UTF-8", "--data.errors replace"]),
    "unknown option": (GOOD, ["--data.sauce", "x"], ["did you mean --data.source?"]),
    "unknown value": (GOOD, ["--model.pooling", "mxa"], ["'max'"]),
    "no epochs": (GOOD, ["--train.epochs", "0"], ["--train.epochs"]),
    "no dimensions": (GOOD, ["--model.dim", "0"], ["dim"]),
    "a constant network": (
        GOOD,
        ["--model.op", "interference", "--model.readout", "real"],
        ["same output"],
    ),
    "missing vocabulary": (GOOD, ["--data.vocab", "none.txt"], ["none.txt"]),
    "missing test file": (GOOD, ["--data.test", "none.csv"], ["none.csv"]),
    "devices that are not there": (GOOD, ["--mesh.data", "3"], ["3"]),
    "a preset that is not there": (GOOD, ["--preset", "bset"], ["'best'"]),
    "a config that is not there": (GOOD, ["--config", "config/agnews.py"], ["/ag_news.py'"]),
    "an empty label": (GOOD + "words,\n", [], ["row 41 (line 42)", "--data.on-unlabelled skip"]),
    # There is no file: the message shows that the option is checked before the texts are read.
    "a probe of no waves": (
        None,
        ["--probe.every", "1", "--model.kind", "mean"],
        ["--probe.every"],
    ),
    "a negative period": (None, ["--probe.every", "-1"], ["--probe.every is -1"]),
    "a tracker that is not there": (None, ["--train.wandb"], ["--train.wandb", "pip install"]),
}

STRANGE = GOOD + "nul \x00 byte,a\n" + ",b\n" + "word " * 2_000_000 + ",a\n"


def _train(command: Command, folder: Path, content: str | bytes | None, *options: str) -> Done:
    path = folder / "texts.csv"
    if content is not None:
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    steps = ["--train.steps", "1", "--workdir", str(folder / "run")]
    return command("train", "--data.source", path, *TINY, *steps, *options)


@pytest.mark.parametrize("case", REFUSED)
def test_refused_in_one_line(
    case: str, tmp_path: Path, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "wandb", None)  # cannot be imported, installed or not
    content, options, parts = REFUSED[case]
    assert_refused(_train(command, tmp_path, content, *options), *parts)
    assert not (tmp_path / "run").exists(), "so that the corrected command may name it again"


def test_strange_but_readable(tmp_path: Path, command: Command) -> None:
    """A byte order mark, CRLF, NUL, an empty text, 10 MB of text; invalid bytes if asked to."""
    content = b"\xef\xbb\xbf" + STRANGE.replace("\n", "\r\n").encode() + b"b\xffd,a\r\n"
    done = _train(command, tmp_path, content, "--data.errors", "replace")
    assert done.status == 0, done.err
    kept = json.loads((tmp_path / "run" / "summary.json").read_text())
    assert kept["test_examples"] == 9, "a fifth of 44 rows: none was dropped"


def test_little_data_is_warned_of_and_the_columns_are_reported(
    tmp_path: Path, command: Command
) -> None:
    content = GOOD + "unknown words,\n" * 3 + "rare words,c\n"
    done = _train(command, tmp_path, content, "--data.on-unlabelled", "skip")
    assert done.status == 0, done.err
    data, _, _, _, warning = done.out.splitlines()[:5]
    assert "41 rows; text from text, label from label; 3 rows without a label left out" in data
    # 41 rows: 8 to test on, and of the others 26 to learn from; 50 / sqrt(8) is 18
    assert warning.startswith("Warning: 26 texts to learn from and 8 to test on")
    assert "18 points" in warning
    assert "text to learn from for 'c'" in warning


def test_a_label_that_training_lacks(tmp_path: Path, command: Command) -> None:
    (tmp_path / "test.csv").write_text("text,label\nnew words,c\n")
    done = _train(command, tmp_path, GOOD, "--data.test", str(tmp_path / "test.csv"))
    assert_refused(done, "'c'")


def test_a_data_set_that_does_not_exist(command: Command, tmp_path: Path) -> None:
    done = command("train", "--data.source", "tfds:imdb_review", "--workdir", tmp_path / "run")
    assert_refused(done, "imdb_review", "imdb_reviews")


def test_a_config_edited_by_hand(
    trained: tuple[Path, Done], command: Command, tmp_path: Path
) -> None:
    values = json.loads((trained[0] / "config.json").read_text())
    values["model"]["dmi"] = 3
    (tmp_path / "config.json").write_text(json.dumps(values))
    assert_refused(command("predict", tmp_path), "model.dmi", "'dim'")
    (tmp_path / "config.json").write_text("{")
    assert_refused(command("evaluate", tmp_path), "config.json")
