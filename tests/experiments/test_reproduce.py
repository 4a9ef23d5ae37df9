"""`python -m wave_jax reproduce`: records once made stay, pictures come from them alone."""

from __future__ import annotations

import hashlib
import json
import shutil
import signal
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import Command, assert_refused
from tests.experiments.conftest import SMALL, TINY, write_bert
from wave_jax.experiments.registry import ITEMS
from wave_jax.experiments.scale import SCALES
from wave_jax.experiments.watches import make_watches
from wave_jax.training.callbacks import CallbackFactory
from wave_jax.training.state import Params

BERT = Path(__file__).parents[1] / "golden" / "bert"
RESULTS = Path(__file__).parents[2] / "results" / "small"


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory, texts: Path) -> Path:
    """A folder with the record of bp-figure1, and its report."""
    from wave_jax.cli import main
    from wave_jax.experiments.scale import SCALES

    folder = tmp_path_factory.mktemp("out") / "first"
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(SCALES, "small", TINY)
        assert main(["reproduce", "bp-figure1", "--data", str(texts), "--out", str(folder)]) == 0
    return folder


def records(folder: Path) -> dict[str, dict]:
    return {path.name: json.loads(path.read_text()) for path in (folder / "records").iterdir()}


def test_the_same_seed_gives_the_same_record(
    measured: Path, command: Command, tmp_path: Path, texts: Path
) -> None:
    done = command("reproduce", "bp-figure1", "--data", texts, "--out", tmp_path / "again")
    assert done.status == 0, done.err
    assert "1 to measure, about" in done.out
    (name, first), (other, second) = (
        *records(measured).items(),
        *records(tmp_path / "again").items(),
    )
    assert name == other
    assert first["result"] == second["result"]
    assert first["config"] == second["config"]
    splits = {row["split"] for row in first["result"]["rows"]}
    assert splits == {"train", "validation", "gradients", "embeddings"}
    assert first["environment"]["jax"]
    assert first["time"]["total_seconds"] > 0
    assert str(texts.parent) not in json.dumps(first), "a path of this machine"


def test_what_is_measured_is_not_measured_again(
    measured: Path, command: Command, tmp_path: Path, texts: Path
) -> None:
    folder = shutil.copytree(measured, tmp_path / "copy")
    (record,) = (folder / "records").iterdir()
    marked = record.read_text().replace('"total_seconds":', '"mark": 1, "total_seconds":')
    record.write_text(marked)
    done = command("reproduce", "bp-figure1", "--data", texts, "--out", folder)
    assert done.status == 0, done.err
    assert "to measure" not in done.out
    assert record.read_text() == marked


def test_an_interrupted_measurement_goes_on_where_it_was(
    measured: Path, command: Command, tmp_path: Path, texts: Path,
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    """The record is that of an undisturbed run, and no step is done twice."""
    steps: list[int] = []

    class Spy:
        every = 1

        def __call__(self, step: int, params: Params) -> dict[str, Any]:
            del params
            steps.append(step)
            if len(steps) == 4:
                signal.raise_signal(signal.SIGTERM)
            return {"split": "spy"}

    def watches(*args: Any) -> list[CallbackFactory]:
        return [*make_watches(*args), lambda task: Spy()]

    monkeypatch.setattr("wave_jax.experiments.training_job.make_watches", watches)
    folder = tmp_path / "out"
    argv = ("reproduce", "bp-figure1", "--data", texts, "--out", folder)
    with pytest.raises(SystemExit) as stopped:
        command(*argv)
    assert stopped.value.code == 143
    assert "the same command goes on from there." in capsys.readouterr().out
    assert not list((folder / "records").glob("*")), "half a measurement is none"
    assert command(*argv).status == 0
    assert steps == list(range(1, 11))
    ((name, expected),) = records(measured).items()
    ((other, found),) = records(folder).items()
    found["result"]["rows"] = [r for r in found["result"]["rows"] if r["split"] != "spy"]
    assert (name, expected["result"]) == (other, found["result"])


def test_pictures_are_remade_from_records_alone(
    measured: Path, command: Command, tmp_path: Path
) -> None:
    folder = shutil.copytree(measured, tmp_path / "copy")
    before = {path.name: path.read_bytes() for path in (folder / "figures").iterdir()}
    for name in ("figures", "work", "report.html", "report.md"):
        path = folder / name
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    done = command("reproduce", "bp-figure1", "--draw", "--out", folder)
    assert done.status == 0, done.err
    assert {path.name: path.read_bytes() for path in (folder / "figures").iterdir()} == before
    assert {"bp-figure1.svg", "bp-figure4.png"} <= before.keys(), "what can be drawn is drawn"
    page = (folder / "report.html").read_text()
    assert "http" not in page.replace("http://www.w3.org", ""), "the page is self-contained"
    assert page.count("data:image/svg+xml") == 2
    text = (folder / "report.md").read_text()
    assert "figures/bp-figure1.svg" in text
    assert "python -m wave_jax reproduce bp-figure1 --data plain.csv --scale small" in text


def test_an_item_without_records_is_drawn_as_missing(
    measured: Path, command: Command, tmp_path: Path
) -> None:
    folder = shutil.copytree(measured, tmp_path / "copy")
    done = command("reproduce", "all", "--draw", "--out", folder)
    assert done.status == 0, done.err
    text = (folder / "report.md").read_text()
    assert text.count("of its records are still missing") == len(ITEMS) - 2


def test_every_item_is_listed_on_a_line_of_its_own(command: Command) -> None:
    done = command("reproduce", "--list")
    lines = done.out.splitlines()
    assert [line.split()[0] for line in lines] == [*ITEMS, "all"]
    for line in lines:
        assert "needs" in line
        assert "about" in line


def test_wrong_names_and_options_are_refused(command: Command, tmp_path: Path) -> None:
    out = ("--out", tmp_path / "out")
    assert_refused(command("reproduce", "wn-tabel1", *out), "did you mean 'wn-table1'?", "--list")
    assert_refused(command("reproduce", *out), "name an item")
    assert_refused(command("reproduce", "all", "--seeds", "0", *out), "--seeds is 0")
    assert_refused(command("reproduce", "all", "--draw", *out), "holds no records to draw")
    broken = tmp_path / "bert"
    broken.mkdir()
    (broken / "pytorch_model.bin").touch()
    refused = command("reproduce", "wn-table2", "--pretrained", broken, *out)
    assert_refused(refused, "a pickle", "safe_serialization")
    wide = command("reproduce", "wn-table2", "--pretrained", BERT, *out)
    assert_refused(wide, "--scale small (dimensions: 8,", "hidden_size is 16, but the model has 8")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("name", "change", "text"),
    [
        ("about.json", {"format": 0}, "written by another version (format 0, this is 1)"),
        ("about.json", {"wave_jax": "0.0.9"}, "written by another version (wave_jax 0.0.9"),
        ("about.json", {"scale": "paper"}, "another scale (paper; now small): give another --out"),
        ("about.json", {"datasets": []}, "datasets is [], expected a list"),
        ("record", {"format": 7}, "(format 7, this is 1)"),
        ("record", None, "cannot be read as JSON"),
        ("record", {"config": {"model": {"dim": 9}}}, "was made with model.dim 9, now it is 8"),
    ],
)
def test_records_of_another_kind_are_refused_and_kept(
    measured: Path, command: Command, tmp_path: Path, texts: Path,
    name: str, change: dict | None, text: str,
) -> None:  # fmt: skip
    folder = shutil.copytree(measured, tmp_path / "copy")
    path = next((folder / "records").iterdir()) if name == "record" else folder / name
    content = path.read_text()
    path.write_text(content[:50] if change is None else json.dumps(json.loads(content) | change))
    before = {p: p.read_bytes() for p in folder.rglob("*") if p.is_file()}
    done = command("reproduce", "bp-figure1", "--data", texts, "--out", folder)
    assert_refused(done, text)
    assert {p: p.read_bytes() for p in folder.rglob("*") if p.is_file()} == before


def test_a_folder_of_something_else_is_refused(command: Command, tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    done = command("reproduce", "bp-parameters", "--out", tmp_path)
    assert_refused(done, "is not empty and holds no about.json")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("item", "row", "expected"),
    [
        ("bp-figure3", "BERT", {("bert", 2e-5), ("transformer", 1e-3)}),
        ("wn-table1", "tuned, embeddings of BERT", {("transformer", 1e-3), ("transformer", 3e-3)}),
    ],
)
def test_a_checkpoint_gives_bert_and_the_transformers_table(
    item: str, row: str, expected: set[tuple[str, float]],
    command: Command, tmp_path: Path, texts: Path,
) -> None:  # fmt: skip
    """At the papers' rates; records name the checkpoint and its weights, not where it lies."""
    checkpoint = write_bert(tmp_path / "tiny-bert", TINY)
    argv = ("reproduce", item, "--data", texts, "--pretrained", checkpoint)
    done = command(*argv, "--out", tmp_path / "out")
    assert done.status == 0, done.err
    given = [r for r in records(tmp_path / "out").values() if r["config"]["model"]["pretrained"]]
    (label,) = {r["config"]["model"]["pretrained"] for r in given}
    digest = hashlib.sha256((checkpoint / "model.safetensors").read_bytes()).hexdigest()
    assert label == f"tiny-bert {digest[:16]}"
    rates = {(r["config"]["model"]["kind"], r["config"]["train"]["learning_rate"]) for r in given}
    assert rates == expected
    assert str(tmp_path) not in json.dumps(given)
    assert f"{row} |" in (tmp_path / "out" / "report.md").read_text()


@pytest.mark.slow
def test_every_item_runs_and_is_drawn(command: Command, tmp_path: Path, texts: Path) -> None:
    folder = tmp_path / "all"
    done = command("reproduce", "all", "--data", texts, "--out", folder)
    assert done.status == 0, done.err
    text = (folder / "report.md").read_text()
    assert "still missing" not in text
    assert "nan" not in text.split()
    assert "71.68" not in text, "the papers' figures are of other texts"
    for item in ITEMS:
        assert f"reproduce {item} " in text


@pytest.mark.skipif(not RESULTS.is_dir(), reason="no committed results")
def test_the_committed_records_can_be_drawn(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are of this version, and name no machine's folders."""
    folder = tmp_path / "small"
    shutil.copytree(RESULTS, folder, ignore=shutil.ignore_patterns("work", "figures", "report.*"))
    for record in records(folder).values():
        assert not str(record["config"].get("data", {}).get("source", "")).startswith("/")
    monkeypatch.setitem(SCALES, "small", SMALL)
    done = command("reproduce", "all", "--draw", "--out", folder)
    assert done.status == 0, done.err
    report = (folder / "report.md").read_text()
    assert "still missing" not in report
    assert report == (RESULTS / "report.md").read_text(), "draw results/small again"
