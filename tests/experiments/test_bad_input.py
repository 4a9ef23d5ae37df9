"""What `reproduce` refuses: one line, status 2, nothing written or overwritten."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import Command, assert_refused
from tests.experiments.conftest import NEWS, TINY, about, contents, write_bert
from tests.models.test_pretrained import rewrite
from wave_jax.experiments.command import list_items
from wave_jax.experiments.jobs import Plan
from wave_jax.experiments.records import Records
from wave_jax.experiments.registry import ITEMS
from wave_jax.experiments.training_job import training

DEEP = "[" * 200_000  # deeper than any interpreter's stack


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Records of which one is made: a Transformer of [WN] table 1."""
    records = Records(tmp_path / "out")
    records.claim(about())
    run = training(Plan(TINY, (NEWS,), 1, records), "transformer", 0)
    result = {"test_accuracy": 0.5, "validation_accuracy": 0.25, "step_bytes": 2**20}
    rows = [{"split": "validation", "step": 6, "epoch": 1.0}]
    times = {"seconds": 2.0, "total_seconds": 3.0}
    records.save(run.key, config=run.config(), seed=0, result=result | {"rows": rows}, time=times)
    return records.folder


def test_an_option_without_its_value(command: Command, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert_refused(command("reproduce", "bp-figure1", "--out", out, "--data"), "--data needs a")
    assert not out.exists()


def test_folders_that_cannot_be(command: Command, tmp_path: Path, texts: Path) -> None:
    (tmp_path / "file").write_text("mine")
    inside = command("reproduce", "bp-parameters", "--out", tmp_path / "file" / "x" / "y")
    assert_refused(inside, "file is a file, so", "expected a folder for --out")
    long = command("reproduce", "bp-parameters", "--out", tmp_path / ("x" * 300))
    assert_refused(long, "cannot be a path: File name too long")
    (tmp_path / "out" / "work").parent.mkdir()
    (tmp_path / "out" / "work").write_text("mine")
    assert_refused(command("reproduce", "bp-parameters", "--out", tmp_path / "out"), "is a file")
    (tmp_path / "new" / "work").mkdir(parents=True)
    (tmp_path / "new" / "work" / "data").write_text("mine")
    full = command("reproduce", "bp-parameters", "--data", texts, "--out", tmp_path / "new")
    assert_refused(full, "cannot be written: Not a directory")
    assert {path.read_text() for path in tmp_path.rglob("*") if path.is_file()} == {"mine"}


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"datasets": []}, "datasets is [], expected a list"),
        ({"datasets": [5]}, "a data set is 5"),
        ({"datasets": [{"name": "x"}]}, "a data set lacks classes"),
        ({"datasets": [NEWS.about() | {"folder": "/"}]}, "a data set has an unknown folder"),
        ({"datasets": [NEWS.about() | {"train": "8000"}]}, "train is '8000', expected a whole"),
        ({"datasets": [NEWS.about() | {"test": 0}]}, "test is 0, expected a whole number above 0"),
        ({"datasets": [NEWS.about() | {"majority": float("nan")}]}, "majority is nan"),
        ({"datasets": [NEWS.about() | {"sentences": "no"}]}, "sentences is 'no', expected true"),
        ({"environment": {}}, "environment lacks device"),
        ({"environment": 5}, "environment is 5"),
        ({"pretrained": 5}, "pretrained is 5"),
        ({"seeds": "3"}, "seeds is '3'"),
        ({"scale": ["small"]}, "scale is a list, expected small or paper"),
        (DEEP, "cannot be read as JSON"),
        ("[]", "about.json is not a JSON object: mend it, or give another --out"),
    ],
)  # fmt: skip
def test_an_about_edited_by_hand(
    command: Command, folder: Path, change: dict[str, Any] | str, text: str
) -> None:
    path = folder / "about.json"
    found = json.loads(path.read_text())
    path.write_text(change if isinstance(change, str) else json.dumps(found | change))
    before = contents(folder)
    for option in (["--draw"], ["--data", "nowhere.csv"]):
        assert_refused(command("reproduce", "wn-table1", *option, "--out", folder), text)
    assert contents(folder) == before


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"config": None}, "its config is missing or damaged"),
        ({"seed": "0"}, "its seed is"),
        ({"result": []}, "its result is"),
        ({"time": None}, "its time is"),
        ({"time": {}}, "its total_seconds is"),
        ({"environment": None}, "its environment is"),
        ({"environment": {"device": "cpu"}}, "its machine is"),
        (DEEP, "cannot be read as JSON"),
    ],
)
def test_a_record_that_is_not_whole(
    command: Command, folder: Path, change: dict[str, Any] | str, text: str
) -> None:
    (path,) = (folder / "records").iterdir()
    record = json.loads(path.read_text())
    path.write_text(change if isinstance(change, str) else json.dumps(record | change))
    before = contents(folder)
    refused = command("reproduce", "wn-table1", "--draw", "--out", folder)
    assert_refused(refused, path.name, text, "delete it to measure again")
    assert contents(folder) == before


@pytest.mark.parametrize(
    "option", [["--data", "x.csv"], ["--scale=small"], ["--pretrained", "bert"]]
)
def test_drawing_takes_everything_from_the_records(
    command: Command, folder: Path, option: list[str]
) -> None:
    refused = command("reproduce", "wn-table1", "--draw", *option, "--out", folder)
    assert_refused(refused, f"{option[0].split('=')[0]} has no effect with --draw")
    assert not (folder / "report.md").exists()


def test_the_list_is_of_what_could_be_run(command: Command) -> None:
    assert_refused(command("reproduce", "--list", "--seeds", "-3"), "--seeds is -3")
    assert_refused(command("reproduce", "nonsense", "--list"), "no item 'nonsense'")
    assert_refused(command("reproduce", "WN-TABLE1"), "did you mean 'wn-table1'?")


def test_the_list_ends_with_the_total() -> None:
    *each, total = list_items("all", "paper", 5)
    assert [line.split()[0] for line in each] == list(ITEMS)
    hours = [float(line.split()[-2]) for line in (*each, total) if line.endswith(" h")]
    assert total.startswith("all ")
    assert max(hours[:-1]) < hours[-1] < sum(hours[:-1]), "some runs are shared"
    assert list_items("ablations", "paper", 5) == [each[-1]]


def _reshape(folder: Path, name: str) -> None:
    def change(header: dict[str, Any]) -> None:
        header[name]["shape"] = [1, *header[name]["shape"]]

    rewrite(folder, change)


def _append(path: Path, text: str) -> None:
    path.write_text(path.read_text() + text)


CHECKPOINTS: list[tuple[Callable[[Path], object], str]] = [
    (lambda f: rewrite(f, lambda h: h.pop("pooler.dense.bias")), "lacks the tensor pooler.dense.b"),
    (lambda f: _reshape(f, "embeddings.LayerNorm.weight"), "LayerNorm.weight is [1, 8]"),
    (lambda f: (f / "vocab.txt").unlink(), "holds no vocab.txt"),
    (lambda f: (f / "vocab.txt").write_text(""), "no line [PAD]"),
    (lambda f: (f / "vocab.txt").write_bytes(b"\xff\x00\xfe"), "vocab.txt: not UTF-8 text"),
    (lambda f: _append(f / "vocab.txt", "\nmore"), "expected [58, 8], a row for each token of"),
    (lambda f: (f / "config.json").write_text(DEEP), "config.json cannot be read as JSON"),
    (lambda f: (f / "tokenizer_config.json").write_text('{"do_lower_case": false}'), "uncased"),
]


@pytest.mark.parametrize(("spoil", "text"), CHECKPOINTS)
def test_a_checkpoint_is_checked_before_anything_is_measured(
    command: Command, tmp_path: Path, spoil: Callable[[Path], object], text: str
) -> None:
    bert = write_bert(tmp_path / "bert", TINY)
    spoil(bert)
    refused = command("reproduce", "wn-table2", "--pretrained", bert, "--out", tmp_path / "out")
    assert_refused(refused, "--pretrained, at --scale small", text)
    assert not (tmp_path / "out").exists()


def test_advice_names_options_that_the_command_has(command: Command, tmp_path: Path) -> None:
    for change in ({"dim": 16}, {"max_length": 4}):
        bert = write_bert(
            tmp_path / f"bert{len(change)}{change}", dataclasses.replace(TINY, **change)
        )
        refused = command("reproduce", "wn-table2", "--pretrained", bert, "--out", tmp_path / "out")
        assert_refused(refused, "give another checkpoint, or another --scale")
        assert "--model" not in refused.err
        assert "--data." not in refused.err


def test_drawing_one_item_keeps_what_else_is_measured_in_part(
    command: Command, folder: Path
) -> None:
    done = command("reproduce", "bp-parameters", "--draw", "--out", folder)
    assert done.status == 0, done.err
    page = (folder / "report.md").read_text()
    assert "## [BP] parameters" in page, "it was asked for"
    assert "## [WN] table 1" in page
    assert "of its records are still missing" in page
    assert "| Transformer, one layer | paper's rate |" in page
    assert "## [WN] figure 7" not in page, "nothing of it is measured"
