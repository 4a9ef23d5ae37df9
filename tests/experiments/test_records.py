"""What a folder of records is of, and records that cannot be used."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest

from tests.experiments.conftest import NEWS, about, contents
from wave_jax.errors import UserError
from wave_jax.experiments.records import Records

FILMS = dataclasses.replace(NEWS, name="IMDB", source="imdb", fingerprint="1" * 64, classes=2)


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


@pytest.fixture
def records(tmp_path: Path) -> Records:
    """A folder with one record."""
    found = Records(tmp_path / "out")
    found.claim(about())
    found.save("wave", config={"a": 1}, seed=0, result={"b": 2}, time={"total_seconds": 3.0})
    return found


def test_a_record_is_found_as_it_was_saved(records: Records) -> None:
    found = Records(records.folder).find("wave")
    assert found is not None
    assert (found["config"], found["result"], found["seed"]) == ({"a": 1}, {"b": 2}, 0)
    assert found["time"] == {"total_seconds": 3.0}
    assert found["environment"]["jax"]
    assert records.find("another") is None


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"config": None}, "'config' is missing or damaged"),
        ({"result": []}, "'result' is missing"),
        ({"time": {}}, "'time' is missing"),
        ({"environment": {"device": "cpu"}}, "'environment' is missing"),
        ("[" * 200_000, "cannot be read as JSON"),
        ('{"config": ', "cannot be read as JSON"),
        ("[]", "is not a JSON object"),
        ({"format": 7}, "another version (format 7, this is 1)"),
        ({"wave_jax": "0.0.9"}, "another version (wave_jax 0.0.9"),
    ],
)
def test_a_damaged_record_is_refused_and_kept(
    records: Records, change: dict[str, Any] | str, text: str
) -> None:
    path = records.folder / "records" / "wave.json"
    content = json.loads(path.read_text())
    path.write_text(change if isinstance(change, str) else json.dumps(content | change))
    before = contents(records.folder)
    with pytest.raises(UserError) as refused:
        records.find("wave")
    assert str(path) in str(refused.value)
    assert text in str(refused.value)
    assert contents(records.folder) == before


@pytest.mark.parametrize("text", ["[" * 200_000, "[]", '{"format": 0}'])
def test_a_damaged_about_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "about.json").write_text(text)
    with pytest.raises(UserError, match="give another --out"):
        Records(tmp_path)


def test_a_folder_of_something_else_is_refused(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(UserError, match="not empty and holds no about.json"):
        Records(tmp_path)


def test_a_place_that_cannot_be_written_to_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    with pytest.raises(UserError, match="file/out/about.json cannot be written: Not a directory"):
        Records(tmp_path / "file" / "out").claim(about())
