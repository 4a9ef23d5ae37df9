"""Evaluation from the command line."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pytest

from wave_jax.data.tokenizer import WordPiece
from wave_jax.export.hub import write_hub
from wave_jax.inference import load

from .conftest import Command, Done, assert_refused, write_texts

KEYS = ["accuracy", "examples", "loss", "macro_precision", "macro_recall", "macro_f1", "per_class"]


def test_json_agrees_with_the_training(trained: tuple[Path, Done], command: Command) -> None:
    folder, _ = trained
    done = command("evaluate", folder, "--json")
    assert done.status == 0, done.err
    assert done.out.count("\n") == 1
    row = json.loads(done.out)
    assert all(key in row for key in KEYS)
    summary = json.loads((folder / "summary.json").read_text())
    assert row["examples"] == summary["test_examples"]
    assert row["accuracy"] == pytest.approx(summary["test_accuracy"], abs=1e-12)  # the same counts
    assert row["loss"] == pytest.approx(summary["test_loss"], rel=1e-4)  # float32, other batches
    assert Path(row["picture"]).read_bytes().startswith(b"\x89PNG")


def test_tables_and_pictures(trained: tuple[Path, Done], command: Command) -> None:
    folder, _ = trained
    for split in ("validation", "train"):
        done = command("evaluate", folder, "--split", split, "--checkpoint", "last")
        assert done.status == 0, done.err
        for part in ("accuracy", "precision", "sea", "Confusion matrix", "Written"):
            assert part in done.out
        assert (folder / "evaluation" / f"{split}-last.png").is_file()


def test_nothing_is_overwritten(
    trained: tuple[Path, Done], command: Command, tmp_path: Path
) -> None:
    folder, _ = trained
    for count in (12, 12, 15):
        new = write_texts(tmp_path / "new.csv", count, seed=count)
        done = command("evaluate", folder, "--data.source", new, "--json")
        assert done.status == 0, done.err
        assert json.loads(done.out)["examples"] == count, "a file without splits is evaluated whole"
    names = sorted(path.name for path in (folder / "evaluation").glob("*new.csv*.json"))
    assert names == ["test-best-new.csv-2.json", "test-best-new.csv.json"]


def test_the_folder_of_a_model_stays_as_it_is(
    trained: tuple[Path, Done], command: Command, tmp_path: Path, texts: Path
) -> None:
    write_hub(load(trained[0], fold=False), tmp_path / "hub", {})
    before = sorted((tmp_path / "hub").iterdir())
    done = command("evaluate", tmp_path / "hub", "--data.source", texts)
    assert "How many of these texts it has learned from is not known" in done.out
    row = json.loads(command("evaluate", tmp_path / "hub", "--data.source", texts, "--json").out)
    assert row["picture"] is row["duplicates"] is None
    assert sorted((tmp_path / "hub").iterdir()) == before
    done = command("evaluate", tmp_path / "hub")
    assert_refused(done, "has no texts beside it: give some with --data.source")


def test_the_training_file_keeps_its_cut(
    trained: tuple[Path, Done], command: Command, texts: Path
) -> None:
    folder, _ = trained
    row = json.loads(command("evaluate", folder, "--json").out)
    again = json.loads(command("evaluate", folder, "--json", "--data.source", texts).out)
    assert again["examples"] == row["examples"] < 240
    assert again["loss"] == row["loss"]


def test_training_texts_are_counted_whatever_their_file_is_called(
    trained: tuple[Path, Done], command: Command, tmp_path: Path, texts: Path
) -> None:
    folder, moved, copy = trained[0], tmp_path / "moved", tmp_path / "copy.csv"
    shutil.copytree(folder, moved)
    config = json.loads((moved / "config.json").read_text())
    config["data"]["source"] = str(tmp_path / "gone.csv")
    (moved / "config.json").write_text(json.dumps(config))
    copy.write_text(texts.read_text().replace(" ", "  ") + "never,seen before,sea\n")
    done = command("evaluate", moved, "--data.source", copy)
    found = re.search(r"\n(\d+) of 241 texts are training texts too", done.out)
    assert found, done
    assert 150 <= int(found.group(1)) < 240, "the training's own and what equals them"
    row = json.loads(command("evaluate", moved, "--data.source", copy, "--json").out)
    assert row["duplicates"] == int(found.group(1))
    own = command("evaluate", folder)
    assert "training texts" not in own.out, "no split parts equal texts"
    (moved / "texts.npz").unlink()
    assert (
        json.loads(command("evaluate", moved, "--data.source", copy, "--json").out)["duplicates"]
        is None
    ), "a run of an earlier version"


def test_what_does_not_fit_is_refused(
    trained: tuple[Path, Done], command: Command, tmp_path: Path
) -> None:
    folder, _ = trained
    strange = write_texts(tmp_path / "strange.csv", 9, labels=("sea", "fire"))
    assert_refused(command("evaluate", folder, "--data.source", strange), "fire")
    assert_refused(command("evaluate", folder, "--data.max-length", "0"), "max")
    assert_refused(command("evaluate", folder, "--split", "tset"), "'test'")


def test_what_the_training_decided_is_no_option(
    trained: tuple[Path, Done], command: Command
) -> None:
    shown = command("evaluate", "--help").out
    assert "--data.label-column" in shown
    for option in ("--data.vocab", "--data.split-seed", "--data.cache-dir"):
        assert option not in shown
        assert_refused(command("evaluate", trained[0], option, "1"), option)


def test_rows_without_a_label_are_left_out_if_asked_to(
    trained: tuple[Path, Done], command: Command, tmp_path: Path
) -> None:
    (tmp_path / "new.csv").write_text("title,body,topic\nsea,waves,sea\nhill,barn,\n")
    given = ("evaluate", trained[0], "--data.source", tmp_path / "new.csv", "--json")
    assert_refused(command(*given), "row 2 (line 3)", "--data.on-unlabelled skip")
    done = command(*given, "--data.on-unlabelled", "skip")
    assert json.loads(done.out)["examples"] == 1, done.err


@pytest.mark.parametrize("name", ["evaluate", "predict"])
def test_a_run_is_met_with_the_nearest(
    trained: tuple[Path, Done], command: Command, name: str
) -> None:
    folder = trained[0]
    assert_refused(command(name, folder.parent / "tinny"), f"did you mean '{folder}'")
    assert_refused(command(name, folder.parent), f"did you mean '{folder}'")


@pytest.mark.parametrize("name", ["evaluate", "predict"])
def test_a_folder_that_is_no_run_is_refused(tmp_path: Path, command: Command, name: str) -> None:
    assert_refused(command(name, tmp_path / "none"), "none", "expected the workdir")
    (tmp_path / "empty").mkdir()
    assert_refused(command(name, tmp_path / "empty"), "config.json")


@pytest.mark.parametrize("name", ["evaluate", "predict"])
def test_a_run_without_checkpoint_is_refused(
    trained: tuple[Path, Done], tmp_path: Path, command: Command, name: str
) -> None:
    for file in ("config.json", "tokenizer.json", "labels.json"):
        (tmp_path / file).write_bytes((trained[0] / file).read_bytes())
    assert_refused(command(name, tmp_path), "checkpoint")


def test_a_vocabulary_of_another_run_is_refused(
    trained: tuple[Path, Done], tmp_path: Path, command: Command
) -> None:
    folder = tmp_path / "run"
    shutil.copytree(trained[0], folder)
    tokens = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", *(f"w{k}" for k in range(300))]
    (tmp_path / "vocab.txt").write_text("\n".join(tokens))
    tokenizer = WordPiece.from_file(tmp_path / "vocab.txt")
    (folder / "tokenizer.json").write_text(tokenizer.to_json(), encoding="utf-8")
    assert_refused(command("predict", folder, "--text", "x"), "embed/embedding", "tokenizer.json")


def test_a_relative_path_of_a_run_says_where_it_led(
    trained: tuple[Path, Done], command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = shutil.copytree(trained[0], tmp_path / "run")
    began, elsewhere = tmp_path / "began", tmp_path / "elsewhere"
    began.mkdir()
    elsewhere.mkdir()
    write_texts(began / "mine.csv", 12)
    config = json.loads((folder / "config.json").read_text())
    config["data"]["source"] = "mine.csv"
    (folder / "config.json").write_text(json.dumps(config))
    facts = json.loads((folder / "environment.json").read_text())
    assert facts["folder"] == str(Path.cwd()), "where the training was started"
    (folder / "environment.json").write_text(json.dumps(facts | {"folder": str(began)}))
    monkeypatch.chdir(elsewhere)
    for argv in (("evaluate", folder), ("probe", folder, "--example", "0")):
        done = command(*argv)
        said = f"mine.csv is not in the current folder, {elsewhere}, but in {began}"
        assert_refused(done, said, "give the command there")
    done = command("evaluate", folder, "--data.source", "other.csv")
    assert_refused(done, f"no such file or folder: other.csv in {elsewhere}")
    new = write_texts(tmp_path / "new.csv", 12)
    assert command("evaluate", folder, "--data.source", new).status == 0
