"""Cross-validation: folds do not leak, records are never measured again, tables say what is in."""

from __future__ import annotations

import csv
import dataclasses
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from benchmarks import __main__ as command
from benchmarks import cross_validation
from benchmarks.cross_validation import Options, models, run
from benchmarks.cross_validation.folds import Texts, read_folds, read_texts
from benchmarks.cross_validation.records import Record, load_records, table
from wave_jax.errors import UserError

pytest.importorskip("sklearn")


def write_csv(path: Path, rows: list[tuple[str, int]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([("text", "label"), *rows])


@pytest.fixture
def root(tmp_path):
    """Small data sets: trec with duplicates, sst2 with phrases of its sentences."""
    rng = np.random.default_rng(0)
    words = np.array(["sea", "sun", "red", "blue", "old", "new", "cat", "dog"])
    texts = [" ".join(rng.choice(words, 5)) for _ in range(60)]
    rows = [(text, int("sun" in text)) for text in texts]
    write_csv(tmp_path / "bench/trec.csv", [*rows, *((f" {t}  ", k) for t, k in rows[:20])])
    phrases = []
    for i in range(40):
        sentence = f"one{i} two{i} three{i} the film"
        phrases += [(sentence, i % 2), (f"one{i} two{i} ", i % 2), (f"two{i} three{i}", i % 2)]
    write_csv(tmp_path / "sst2/train.csv", [*phrases, ("the film", 1), ("a film", 0)])
    read_folds.cache_clear()
    return tmp_path


def as_sets(fold: tuple[Texts, Texts]) -> tuple[set[str], set[str]]:
    learned, tested = ({" ".join(t.split()) for t in part.texts} for part in fold)
    return learned, tested


def test_duplicates_and_groups_are_in_one_fold(root):
    rows, folds = read_folds(root, "trec", 4)
    assert rows == sum(len(tested.texts) for _, tested in folds) == 80
    for fold in folds:
        learned, tested = as_sets(fold)
        assert not learned & tested
        assert not set(fold[0].groups) & set(fold[1].groups)
        assert len(fold[0].texts) + len(fold[1].texts) == rows
    assert not folds[0][0].related


def test_phrases_follow_their_sentence_and_only_sentences_are_tested_on(root):
    rows, folds = read_folds(root, "sst2", 4)
    assert rows == 122
    for fold in folds:
        learned, tested = as_sets(fold)
        assert fold[0].related
        assert all(text.endswith("the film") or text == "a film" for text in tested)
        for text in tested - {"a film"}:
            first, second, third, *_ = text.split()
            assert not {text, f"{first} {second}", f"{second} {third}"} & learned
    assert sum(len(tested.texts) for _, tested in folds) == 41
    texts = read_texts(root, "sst2")  # 'the film' belongs to the first sentence
    assert texts.groups[texts.texts.index("the film")] == texts.groups[0]


def test_films_of_imdb_are_in_one_fold(tmp_path):
    pq = pytest.importorskip("pyarrow.parquet")
    import pyarrow as pa

    texts = [f"review {i}" for i in range(40)]
    texts[39] = " review  0"  # joins the films of the two
    films = [f"tt{i // 4}" for i in range(40)]
    (tmp_path / "imdb").mkdir()
    labels = ["neg" if i % 2 else "pos" for i in range(40)]
    columns = pa.table({"text": texts, "label": labels, "movie": films})
    pq.write_table(columns, tmp_path / "imdb/train.parquet")
    groups = read_texts(tmp_path, "imdb").groups
    assert groups[0] == groups[3] == groups[36] == groups[39]
    assert len(set(groups.tolist())) == 9
    assert read_folds(tmp_path, "imdb", 3)[1][0][0].related


def test_records_are_resumed_and_not_measured_again(root, monkeypatch, capsys):
    calls: list[tuple[int, str]] = []

    def measure(learned, tested, seed, *, arguments):
        calls.append((seed, arguments))
        if len(calls) == 3:
            raise KeyboardInterrupt
        return {"accuracy": 0.5 + seed / 10, "seconds": 1.0, "size": 7, "more": 1}

    monkeypatch.setattr(models, "ours", measure)
    given = {"data_root": str(root), "sets": ("trec",), "out": str(root / "out"), "folds": 3}
    options = Options(**given, models=("wave",), ours=("wave=--x 1",), seeds=(0, 1))
    report = run(options)
    assert "stopped" in report.notes[0]
    assert len(load_records(root / "out")) == 2
    report = run(options)
    assert len(calls) == 3 + 4  # the one that was stopped is measured again
    assert set(calls) == {(0, "--x 1"), (1, "--x 1")}
    assert "| trec | 80 | 55.00 ± 7.07 (1 s) |" in report.table
    assert "4 of 4, about 0 min left" in capsys.readouterr().err
    assert run(dataclasses.replace(options, draw=True, ours=())).table == report.table
    assert load_records(root / "out")[0].facts == {"more": 1}
    with pytest.raises(UserError, match="other arguments"):
        run(dataclasses.replace(options, ours=("wave=--x 2",)))
    assert len(calls) == 7


def test_tfidf_is_measured_and_an_absent_fasttext_is_said(root, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "fasttext", None)
    out = root / "out"
    only = command.Options(
        only=("baselines",),
        json=str(root / "out.json"),
        baselines=Options(
            data_root=str(root),
            sets=("trec", "sst2"),
            models=("tfidf", "fasttext"),
            only_folds=(1,),
            out=str(out),
        ),
    )
    assert command.main(only) == 0
    shown = capsys.readouterr()
    assert "fastText is not installed" in shown.out
    assert "fastText is not installed" in shown.err
    assert "| trec | 80 | " in shown.out
    records = load_records(out)
    assert len(records) == 2 * 4
    assert {record.fold for record in records} == {1}
    assert min(record.accuracy for record in records if record.set == "trec") > 0.5
    assert json.loads((root / "out.json").read_text())["baselines"]["table"]


def test_fasttext_is_measured(root):
    pytest.importorskip("fasttext")
    learned, tested = read_folds(root, "trec", 4)[1][0]
    found = models.fasttext(learned, tested, 3, ngrams=1, epochs=50)
    again = models.fasttext(learned, tested, 3, ngrams=1, epochs=50)
    assert found["accuracy"] == again["accuracy"] > 0.6
    assert found["size"] > 1000


@pytest.mark.parametrize(
    ("stderr", "reason"),
    [
        ("a warning\nerror: no such file\n", "error: no such file"),
        ("╭─ Unrecognized ─╮\n│ Unknown: --x │\n╰───╯\n", "Unknown: --x"),
        ("", "exit status 2"),
    ],
)
def test_ours_is_a_training_whose_failure_is_not_recorded(root, monkeypatch, stderr, reason):
    seen: list[list[str]] = []

    def train(words, **_):
        seen.append(words)
        source = Path(words[words.index("--data.source") + 1])
        assert source.read_text().startswith("text,label,group\n")
        folder = Path(words[words.index("--workdir") + 1])
        if "--fail" in words:
            return subprocess.CompletedProcess(words, 2, "", stderr)
        folder.mkdir()
        facts = {"test_accuracy": 0.75, "parameters": 9, "seconds": 2.0, "validation_accuracy": 1}
        (folder / "summary.json").write_text(json.dumps(facts))
        return subprocess.CompletedProcess(words, 0, "", "")

    monkeypatch.setattr(subprocess, "run", train)
    given = {"data_root": str(root), "only_folds": (0,), "out": str(root / "out")}
    report = run(
        Options(
            **given,
            sets=("trec", "sst2"),
            models=("ours", "bad"),
            ours=("bad=--fail 'a b'",),
            seeds=(4,),
        )
    )
    records = load_records(root / "out")
    assert [(r.set, r.model, r.seed, r.accuracy) for r in records] == [
        ("sst2", "ours", 4, 0.75),
        ("trec", "ours", 4, 0.75),
    ]
    assert report.notes[0] == f"failed: trec, fold 0, bad, seed 4: {reason}"
    assert ["--data.group-column" in words for words in seen] == [False, False, True, True]
    assert seen[1][-2:] == ["--fail", "a b"]


def fabricated(data: str, model: str, accuracies: list[float], setting: str = "", seed: int = 0):
    numbers = {"size": 1, "rows": 1000, "learned": 800, "tested": 200, "versions": {}}
    return [
        Record(data, i, 5, model, setting, seed, {}, accuracy=a, seconds=2.0, **numbers)
        for i, a in enumerate(accuracies)
    ]


def test_the_table_compares_fold_by_fold_with_the_better_baseline():
    records = [
        *fabricated("cr", "tfidf", [0.7] * 5, "C 1"),
        *fabricated("cr", "tfidf", [0.8, 0.8, 0.8, 0.8, 0.7], "C 10"),
        *fabricated("cr", "fasttext", [0.6] * 5, "epochs 5"),
        *fabricated("cr", "ours", [0.82, 0.84]),
        *fabricated("mr", "tfidf", [0.9] * 5, "C 1"),
        *fabricated("mr", "fasttext", [0.5] * 5, "epochs 5"),
        *fabricated("mr", "ours", [0.80] * 5),
        *fabricated("mr", "ours", [0.84] * 5, seed=1),
        *fabricated("trec", "ours", [0.8] * 5),
    ]
    head, _, *rows = table(records, ("mr", "cr", "sst2"))
    assert head == "| set | rows | tfidf | fasttext | ours | ours - better baseline |"
    assert rows == [
        "| mr | 1,000 | 90.00 (C 1; 2 s) | 50.00 (epochs 5; 2 s) | 82.00 ± 2.83 (2 s) "
        "| -8.00 ± 0.00 |",
        "| cr | 1,000 | 78.00 (C 10; 2 s) | 60.00 (epochs 5; 2 s) | 83.00 (2 of 5 folds; 2 s) "
        "| +3.00 ± 1.00 |",
        "",
        "ours: ahead of both baselines on 1 of 2 sets.",
    ]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"sets": ("tre",)}, "no set 'tre', did you mean 'trec'"),
        ({"models": ("tfdif",)}, "no model 'tfdif', did you mean 'tfidf'"),
        ({"models": ("wav",), "ours": ("wave=",)}, "did you mean 'wave'"),
        ({"ours": ("--model.op x",)}, "expected NAME=ARGUMENTS"),
        ({"only_folds": (5,)}, "--only-folds"),
        ({"data_root": None}, "--data-root"),
        ({"data_root": "nowhere"}, "nowhere"),
        ({"draw": True, "out": "nowhere"}, "no records"),
    ],
)
def test_wrong_options_are_errors_of_one_line(tmp_path, given, message):
    options = {"data_root": str(tmp_path), "out": str(tmp_path / "out")} | given
    with pytest.raises(UserError, match=message) as caught:
        cross_validation.run(Options(**options))
    assert "\n" not in str(caught.value)


def test_a_file_that_is_no_record_is_named(tmp_path):
    (tmp_path / "x.json").write_text("{}")
    with pytest.raises(UserError, match="x.json is not a record"):
        run(Options(out=str(tmp_path), draw=True))
