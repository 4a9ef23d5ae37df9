"""What texts are called, and which of them are taken."""

from __future__ import annotations

from pathlib import Path

import pytest

from wave_jax.errors import UserError
from wave_jax.experiments.sources import paper_name, prepare_source


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
    assert paper_name(source) == name


def test_texts_are_named_after_their_file(
    texts: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    odd = tmp_path / f"imdb like: {'ü' + 'x' * 90}.csv"
    odd.write_bytes(texts.read_bytes())
    data = prepare_source(str(odd), tmp_path / "work")
    assert data.name == data.source == odd.name
    assert len(data.slug.encode()) <= 60, "leaves room in a record's file name"
    assert not set(data.slug) - set("abcdefghijklmnopqrstuvwxyz-._")
    (tmp_path / "sst2").mkdir()
    (tmp_path / "sst2" / "train.csv").write_bytes(texts.read_bytes())
    monkeypatch.chdir(tmp_path / "sst2")
    assert prepare_source(".", tmp_path / "work").name == "SST-2"


def test_a_sample_is_the_same_every_time(tmp_path: Path, texts: Path) -> None:
    most = {"texts": 120, "test_texts": 40}
    first, second = (prepare_source(str(texts), tmp_path / name, **most) for name in ("a", "b"))
    assert first.about() == second.about()
    assert first.train + first.validation == 120
    assert first.test == 40
    again = prepare_source(first.folder, tmp_path / "c", **most)
    assert again.fingerprint == first.fingerprint, "the copy is the same source"


def test_the_test_file_and_the_groups_are_kept_without_paths(tmp_path: Path, texts: Path) -> None:
    data = prepare_source(f"{texts},test={texts},group=text", tmp_path / "work")
    assert data.source + data.options == "plain.csv,test=plain.csv,group=text"
    assert data.about()["options"] == data.options, "the report's command names them"
    assert prepare_source(str(texts), tmp_path / "work").options == ""


def test_a_place_that_cannot_be_written_to_is_named(tmp_path: Path, texts: Path) -> None:
    (tmp_path / "work").write_text("mine")
    with pytest.raises(UserError, match="cannot be written: Not a directory"):
        prepare_source(str(texts), tmp_path / "work")
