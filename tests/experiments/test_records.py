"""What a folder of records is of, and what texts are called."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import Command
from tests.experiments.conftest import NEWS, TINY, about, contents
from wave_jax.errors import UserError
from wave_jax.experiments.records import Records
from wave_jax.experiments.sources import papers_name, prepare_source

FILMS = dataclasses.replace(NEWS, name="IMDB", source="imdb", fingerprint="1" * 64, classes=2)


@pytest.mark.parametrize(
    ("source", "name"),
    [
        ("ag_news_csv", "AG News"), ("AG_News.csv.gz", "AG News"), ("dbpedia14", "DBpedia14"),
        ("dbpedia_csv.tar.gz", "DBpedia14"),
        ("imdb_train.parquet", "IMDB"), ("imdb", "IMDB"), ("tfds:imdb_reviews:1.0.0", "IMDB"),
        ("tfds:glue/sst2", "SST-2"), ("tfds:ag_news_subset", "AG News"), ("sst2", "SST-2"),
        ("my_imdb_like.csv", None), ("not_ag_news", None), ("imdb.v2.csv", None),
        ("tfds:glue/cola", None), ("docstrings", None),
    ],
)  # fmt: skip
def test_only_the_papers_texts_are_called_so(source: str, name: str | None) -> None:
    assert papers_name(source) == name


def test_texts_are_named_after_their_file(
    texts: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    odd = tmp_path / f"imdb like: {'ü' + 'x' * 90}.csv"
    odd.write_bytes(texts.read_bytes())
    data = prepare_source(str(odd), TINY, tmp_path / "work")
    assert data.name == data.source == odd.name
    assert len(data.slug.encode()) <= 60, "leaves room in a record's file name"
    assert not set(data.slug) - set("abcdefghijklmnopqrstuvwxyz-._")
    (tmp_path / "sst2").mkdir()
    (tmp_path / "sst2" / "train.csv").write_bytes(texts.read_bytes())
    monkeypatch.chdir(tmp_path / "sst2")
    assert prepare_source(".", TINY, tmp_path / "work").name == "SST-2"


def test_what_a_folder_is_of_may_grow(tmp_path: Path) -> None:
    Records(tmp_path).claim(about(seeds=3))
    Records(tmp_path).claim(about(NEWS, FILMS, seeds=2))
    moved = dataclasses.replace(NEWS, source="ag_news.csv")
    Records(tmp_path).claim(about(moved, seeds=5))
    Records(tmp_path).claim(about(seeds=1))
    found = Records(tmp_path).about
    assert found is not None
    assert found["datasets"] == [NEWS.about(), FILMS.about()], "first come, first kept"
    assert found["seeds"] == 5


@pytest.mark.parametrize(
    ("wanted", "text"),
    [
        (about(scale="paper"), "another scale (small; now paper)"),
        (about(pretrained="bert 0123"), "another pretrained (None; now bert 0123)"),
        (about(FILMS, NEWS), "another first data set (AG News 00000000; now IMDB 11111111)"),
        (about(dataclasses.replace(NEWS, fingerprint="2" * 64)), "another AG News"),
        (about(NEWS, dataclasses.replace(FILMS, fingerprint="2" * 64)), "another IMDB"),
    ],
)
def test_what_a_folder_is_of_may_not_change(
    tmp_path: Path, wanted: dict[str, Any], text: str
) -> None:
    Records(tmp_path).claim(about(NEWS, FILMS))
    before = contents(tmp_path)
    with pytest.raises(UserError) as refused:
        Records(tmp_path).claim(wanted)
    assert text in str(refused.value)
    assert contents(tmp_path) == before


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
