"""`python -m wave_jax reproduce`: records once made stay, pictures come from them alone."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import shutil
import signal
from collections.abc import Callable
from operator import itemgetter
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import Command, assert_refused
from tests.experiments.conftest import (
    SMALL,
    TINY,
    contents,
    tiny_plan,
    weight_shapes,
    write_bert,
    write_weights,
)
from wave_jax.cli import main
from wave_jax.experiments.command import ITEMS, list_items
from wave_jax.experiments.plan import SCALES, Plan
from wave_jax.experiments.records import Records
from wave_jax.experiments.sources import PreparedSource
from wave_jax.experiments.training_runs import make_callbacks, training
from wave_jax.training.callbacks import CallbackFactory
from wave_jax.training.state import Params

BERT = Path(__file__).parents[1] / "golden" / "bert"
RESULTS = Path(__file__).parents[2] / "results"


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory, texts: Path) -> Path:
    """A folder with the record of bp-figure1, and its report."""
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
    assert "1 to measure: modulation-plain.csv-s0-" in done.out
    (name, first), (other, second) = (
        *records(measured).items(),
        *records(tmp_path / "again").items(),
    )
    assert name == other
    assert first["result"] == second["result"]
    assert first["config"] == second["config"]
    splits = {row["split"] for row in first["result"]["rows"]}
    assert splits == {"train", "validation", "waves"}
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


def test_an_interrupted_measurement_resumes(
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

    def callbacks(*args: Any) -> list[CallbackFactory]:
        return [*make_callbacks(*args), lambda task: Spy()]

    monkeypatch.setattr("wave_jax.experiments.training_runs.make_callbacks", callbacks)
    folder = tmp_path / "out"
    argv = ["reproduce", "bp-figure1", "--data", str(texts), "--out", str(folder)]
    with pytest.raises(SystemExit) as stopped:
        main(argv)
    assert stopped.value.code == 143
    assert "the same command resumes from there." in capsys.readouterr().out
    assert not list((folder / "records").glob("*")), "half a measurement is none"
    assert command(*argv).status == 0
    assert steps == list(range(1, 11))
    ((name, expected),) = records(measured).items()
    ((other, found),) = records(folder).items()
    found["result"]["rows"] = [r for r in found["result"]["rows"] if r["split"] != "spy"]
    assert (name, expected["result"]) == (other, found["result"])


def test_figures_are_redrawn_from_records_alone(
    measured: Path, command: Command, tmp_path: Path
) -> None:
    folder = shutil.copytree(measured, tmp_path / "copy")
    before = {path.name: path.read_bytes() for path in (folder / "figures").iterdir()}
    for name in ("figures", "work", "report.md"):
        path = folder / name
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    done = command("reproduce", "bp-figure1", "--draw", "--out", folder)
    assert done.status == 0, done.err
    assert {path.name: path.read_bytes() for path in (folder / "figures").iterdir()} == before
    assert {"bp-figure1.svg", "bp-figure4.png"} <= before.keys(), "what can be drawn is drawn"
    assert not (folder / "report.html").exists()
    text = (folder / "report.md").read_text()
    assert "figures/bp-figure1.svg" in text
    assert "python -m wave_jax reproduce bp-figure1 --data plain.csv --scale small" in text
    (record,) = records(folder).values()
    assert record["config"]["model"]["pooling"] == "mean", "every token's wave is read"
    cut = record["result"]["texts_cut"]["test"]
    assert f"{cut} of the test texts cut at {TINY.max_length} tokens" in text


def test_an_item_without_records_is_drawn_as_missing(
    measured: Path, command: Command, tmp_path: Path
) -> None:
    folder = shutil.copytree(measured, tmp_path / "copy")
    done = command("reproduce", "all", "--draw", "--out", folder)
    assert done.status == 0, done.err
    text = (folder / "report.md").read_text()
    assert text.count("of its records are still missing") == len(ITEMS) - 3  # nor of the study


def test_every_item_is_listed_on_a_line_of_its_own(command: Command) -> None:
    lines = command("reproduce", "--list").out.splitlines()
    assert [line.split()[0] for line in lines] == list(ITEMS)
    assert all("; needs " in line for line in lines)
    marked = {line.split()[0] for line in lines if "; our reading" in line}
    assert marked == {name for name in ITEMS if name.startswith("bp-")}
    assert list_items("ablations") == [lines[-2]]
    assert_refused(command("reproduce", "nonsense", "--list"), "no item 'nonsense'")
    assert_refused(command("reproduce", "WN-TABLE1"), "did you mean 'wn-table1'?")


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


def test_an_option_without_its_value(command: Command, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert_refused(command("reproduce", "bp-figure1", "--out", out, "--data"), "--data needs a")
    assert not out.exists()


def test_folders_that_cannot_be(command: Command, tmp_path: Path, texts: Path) -> None:
    long = command("reproduce", "bp-parameters", "--out", tmp_path / ("x" * 300))
    assert_refused(long, "cannot be a path: File name too long")
    (tmp_path / "file").write_text("mine")
    for out in (tmp_path / "file", tmp_path / "file" / "x"):
        refused = command("reproduce", "bp-parameters", "--data", texts, "--out", out)
        assert_refused(refused, str(out), "cannot be written: Not a directory")
    assert (tmp_path / "file").read_text() == "mine"


@pytest.mark.parametrize(
    ("name", "change", "text"),
    [
        ("about.json", {"format": 0}, "written by another version (format 0, this is 1)"),
        ("about.json", {"scale": "paper"}, "another scale (paper; now small): give another --out"),
        ("about.json", None, "cannot be read as JSON"),
        ("record", {"format": 7}, "(format 7, this is 1)"),
        ("record", None, "cannot be read as JSON"),
        ("record", {"time": {}}, "'time' is missing or damaged: delete it to measure again"),
    ],
)
def test_records_that_cannot_be_used_are_refused_and_kept(
    measured: Path, command: Command, tmp_path: Path, texts: Path,
    name: str, change: dict | None, text: str,
) -> None:  # fmt: skip
    folder = shutil.copytree(measured, tmp_path / "copy")
    path = next((folder / "records").iterdir()) if name == "record" else folder / name
    content = path.read_text()
    path.write_text(content[:50] if change is None else json.dumps(json.loads(content) | change))
    before = contents(folder)
    assert_refused(command("reproduce", "bp-figure1", "--data", texts, "--out", folder), text)
    assert contents(folder) == before


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"datasets": [{"name": "x"}]}, "about.json is damaged"),
        ({"scale": "large"}, "about.json is damaged ('large')"),
    ],
)
def test_an_about_that_lacks_something_is_refused(
    measured: Path, command: Command, tmp_path: Path, change: dict, text: str
) -> None:
    path = shutil.copytree(measured, tmp_path / "copy") / "about.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    assert_refused(command("reproduce", "bp-figure1", "--draw", "--out", path.parent), text)


@pytest.mark.parametrize(
    "option", [["--data", "x.csv"], ["--scale=small"], ["--pretrained", "bert"]]
)
def test_drawing_takes_everything_from_the_records(
    measured: Path, command: Command, option: list[str]
) -> None:
    refused = command("reproduce", "wn-table1", "--draw", *option, "--out", measured)
    assert_refused(refused, f"{option[0].split('=')[0]} has no effect with --draw")


def test_drawing_one_item_keeps_what_else_is_measured_in_part(
    measured: Path, command: Command, tmp_path: Path
) -> None:
    folder = shutil.copytree(measured, tmp_path / "copy")
    records = Records(folder)
    assert records.about is not None
    plan = tiny_plan(folder, PreparedSource(**records.about["datasets"][0]))
    run = training(plan, "transformer", 0)
    result = {"test_accuracy": 0.5, "validation_accuracy": 0.25, "step_bytes": 2**20}
    rows = [{"split": "validation", "step": 6, "epoch": 1.0}]
    times = {"seconds": 2.0, "total_seconds": 3.0}
    records.save(run.key, config=run.config, seed=0, result=result | {"rows": rows}, time=times)
    done = command("reproduce", "bp-parameters", "--draw", "--out", folder)
    assert done.status == 0, done.err
    page = (folder / "report.md").read_text()
    assert "## [BP] parameters" in page, "it was asked for"
    assert "## [BP] figure 1" in page, "it is complete"
    assert "## [WN] table 1" in page
    assert "of its records are still missing" in page
    assert "| Transformer, one layer | paper's rate |" in page
    assert "## [WN] figure 7" not in page, "nothing of it is measured"
    assert "## [BP] figure 3" not in page, "nor of this"


def test_texts_given_under_another_name_of_file_keep_their_records(
    command: Command, tmp_path: Path, texts: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The report is of all that the folder is of, not of the last command's texts alone."""
    plans = []
    monkeypatch.setattr(
        "wave_jax.experiments.command.measure", lambda plan, *others: plans.append(plan)
    )
    names = ("imdb.csv", "ag_news.csv", "imdb_train.csv")
    for number, name in enumerate(names):
        lines = texts.read_text().splitlines(keepends=True)
        (tmp_path / name).write_text("".join(lines[: 200 + number % 2]))
    for given in ((names[0],), names[:2], (names[2],)):
        sources = [tmp_path / name for name in given]
        argv = ("reproduce", "bp-parameters", "--out", tmp_path / "out", "--data", *sources)
        done = command(*argv)
        assert done.status == 0, done.err
    assert [len(plan.datasets) for plan in plans] == [1, 2, 1]
    assert plans[2].datasets == plans[0].datasets
    page = (tmp_path / "out" / "report.md").read_text()
    assert "IMDB (imdb.csv" in page
    assert "AG News (ag_news.csv" in page


def _reshape(folder: Path, name: str) -> None:
    write_weights(
        folder, {k: (1, *v) if k == name else v for k, v in weight_shapes(folder).items()}
    )


def _drop(folder: Path, name: str) -> None:
    write_weights(folder, {k: v for k, v in weight_shapes(folder).items() if k != name})


def _append(path: Path, text: str) -> None:
    path.write_text(path.read_text() + text)


CHECKPOINTS: list[tuple[Callable[[Path], object], str]] = [
    (lambda f: _drop(f, "pooler.dense.bias"), "tensor pooler.dense.bias is missing"),
    (lambda f: _reshape(f, "embeddings.LayerNorm.weight"), "LayerNorm.weight is [1, 8]"),
    (lambda f: (f / "vocab.txt").unlink(), "holds no vocab.txt"),
    (lambda f: (f / "vocab.txt").write_text(""), "vocab.txt: line 1 is ''"),
    (lambda f: (f / "vocab.txt").write_bytes(b"\xff\x00\xfe"), "vocab.txt cannot be decoded"),
    (lambda f: _append(f / "vocab.txt", "\nmore"), "expected [58, 8], a row for each"),
    (lambda f: (f / "config.json").write_text("["), "config.json cannot be read as JSON"),
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
        bert = write_bert(tmp_path / f"bert{change}", dataclasses.replace(TINY, **change))
        refused = command("reproduce", "wn-table2", "--pretrained", bert, "--out", tmp_path / "out")
        assert_refused(refused, "give another checkpoint, or another --scale")
        assert "--model" not in refused.err
        assert "--data." not in refused.err


@pytest.mark.slow
@pytest.mark.parametrize(
    ("item", "row", "expected"),
    [
        ("bp-figure3", "layers, fine-tuned", {("bert", 2e-5), ("transformer", 1e-3)}),
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
    for item in set(ITEMS) - {"study"}:  # which 'all' leaves out, as it takes hours
        assert f"reproduce {item} " in text


@pytest.fixture(
    params=[("small", "all"), ("study", "study"), ("wide", "wn-table1")], ids=itemgetter(0)
)
def committed(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> tuple[str, Path, Path]:
    """An item, its folder of results, and a copy of it without what is drawn."""
    name, item = request.param
    if not (RESULTS / name).is_dir():
        pytest.skip("no committed results")
    monkeypatch.setitem(SCALES, "small", SMALL)
    ignore = shutil.ignore_patterns("work", "figures", "report.*")
    copy = shutil.copytree(RESULTS / name, tmp_path / name, ignore=ignore)
    return item, RESULTS / name, copy


def test_the_committed_records_can_be_drawn(
    command: Command, committed: tuple[str, Path, Path]
) -> None:
    """They are of this version, and name no machine's folders."""
    item, results, copy = committed
    for record in records(copy).values():
        assert not str(record["config"].get("data", {}).get("source", "")).startswith("/")
    done = command("reproduce", item, "--draw", "--out", copy)
    assert done.status == 0, done.err
    report = (results / "report.md").read_text()
    assert (copy / "report.md").read_text() == report, f"draw {results.name} again"


def test_the_committed_records_were_made_with_todays_settings(
    committed: tuple[str, Path, Path],
) -> None:
    """Their names say what differs from the defaults, and so miss a default that has changed.

    Records that have not been made yet are counted in the report.
    """
    copy = committed[2]
    found = Records(copy)
    assert found.about is not None
    datasets = tuple(PreparedSource(**facts) for facts in found.about["datasets"])
    plan = Plan(SCALES[found.about["scale"]], datasets, found.about["seeds"], found)
    jobs = [job for item in ITEMS.values() for jobs in item.jobs(plan).values() for job in jobs]
    made = {job.key: job for job in jobs if plan.find(job) is not None}
    assert {f"{key}.json" for key in made} == records(copy).keys()
    for job in made.values():
        then, now = (_flat(config) for config in (plan.find(job)["config"], job.config))
        assert {name: then[name] for name in now.keys() & then} == {
            name: now[name] for name in now.keys() & then
        }


def _flat(values: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in values.items():
        inner = isinstance(value, dict)
        found |= _flat(value, f"{prefix}{name}.") if inner else {prefix + name: value}
    return found
