"""Data sets of Hugging Face's hub: from its cache, as there is no network here."""

import sys

import huggingface_hub as hub
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from huggingface_hub import constants
from huggingface_hub.errors import RepositoryNotFoundError
from huggingface_hub.utils import filter_repo_objects

from wave_jax.data.config import DataConfig
from wave_jax.data.dataset import load_dataset
from wave_jax.errors import UserError

COMMIT = "e6281661ce1c48d982bc483cf8a173c1bbeb5d31"


def table(path, count=40):
    path.parent.mkdir(parents=True, exist_ok=True)
    labels = ["neg" if i % 2 else "pos" for i in range(count)]
    pq.write_table(pa.table({"text": [f"row {i}" for i in range(count)], "label": labels}), path)


@pytest.fixture
def snapshot(tmp_path, monkeypatch):
    """The cache's folder for a commit of owner/reviews, of which there is a file of code."""
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    repository = tmp_path / "datasets--owner--reviews"
    (repository / "refs").mkdir(parents=True)
    (repository / "refs" / "main").write_text(COMMIT)
    folder = repository / "snapshots" / COMMIT
    folder.mkdir(parents=True)
    (folder / "reviews.py").write_text("raise SystemExit('executed')")
    return folder


def listing(monkeypatch, names):
    """Lets the hub name these files."""
    info = hub.DatasetInfo(id="x", siblings=[{"rfilename": name} for name in names])
    monkeypatch.setattr(hub, "dataset_info", lambda _: info)


def load(source):
    return load_dataset(DataConfig(source=source))


def test_the_cache_serves_without_a_network(snapshot):
    table(snapshot / "data" / "train-00000-of-00001.parquet")
    table(snapshot / "data" / "test-00000-of-00001.parquet", 6)
    dataset = load("hf:owner/reviews")
    assert (len(dataset.train), len(dataset.test)) == (32, 6)
    assert dataset.description.startswith("hf:owner/reviews (commit e628166): train 40, test 6; ")


def test_one_of_several_folders(snapshot):
    for name in ("plain_text", "short"):
        table(snapshot / name / "train-00000-of-00001.parquet", 40 if name == "short" else 80)
    with pytest.raises(UserError, match="several data sets, in 'plain_text', 'short'"):
        load("hf:owner/reviews")
    assert load("hf:owner/reviews/short").description.startswith("hf:owner/reviews/short (commit")
    with pytest.raises(UserError, match="no such file or folder.*shrt.*short"):
        load("hf:owner/reviews/shrt")


def test_neither_network_nor_cache(snapshot):
    with pytest.raises(UserError, match="^hf:owner/other is not in .*there is no network: give"):
        load("hf:owner/other")


@pytest.mark.parametrize("name", ["hf:", "hf:a b/c", "hf:owner/", "hf:../../etc"])
def test_names_that_are_none(snapshot, name):
    with pytest.raises(UserError, match="^hf:.* cannot be downloaded .HFValidationError"):
        load(name)


def test_the_hub_is_asked_for_texts_alone(snapshot, monkeypatch):
    asked = {}
    splits = [f"{split}.csv" for split in ("train", "train[1]", "unsupervised", "test")]
    names = ["README.md", "reviews.py", "a/train.csv", *(f"b/{name}" for name in splits)]

    def download(repository, **options):
        asked[repository] = options
        table(snapshot / "b" / "train.parquet")
        return str(snapshot)

    listing(monkeypatch, names)
    monkeypatch.setattr(hub, "snapshot_download", download)
    with pytest.raises(UserError, match="^hf:owner/reviews holds several data sets, in 'a', 'b'"):
        load("hf:owner/reviews")
    assert not asked, "which is said before the download"
    assert len(load("hf:owner/reviews/b").train)
    (options,) = asked.values()
    assert options["repo_type"] == "dataset"
    wanted = {"b/train.csv", "b/test.csv", "b/classes.txt", "b/labels.json"}
    assert set(options["allow_patterns"]) == wanted

    files = [f"x[1]/train/{c}/{i}.txt" for c in ("neg", "pos", "unsup") for i in range(3)]
    listing(monkeypatch, [*files, "x[1]/more.csv", "x[1]/test.txt"])
    (snapshot / "x[1]").mkdir()
    table(snapshot / "x[1]" / "train.parquet")
    load("hf:owner/reviews/x[1]")
    (options,) = asked.values()
    names = [*files, "x[1]/more.csv", "x[1]/labels.json"]
    found = filter_repo_objects(names, allow_patterns=options["allow_patterns"])
    assert list(found) == [*files[:6], "x[1]/labels.json"]

    listing(monkeypatch, [])
    load("hf:owner/reviews/b")
    (options,) = asked.values()
    assert {"b/*.parquet", "b/*.csv", "b/*.csv.gz", "b/*.txt"} < set(options["allow_patterns"])
    assert not any(pattern.endswith((".py", ".bin")) for pattern in options["allow_patterns"])


class ReadTimeout(Exception):
    """As the libraries raise that the hub's client has used in turn."""


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (None, "is no data set of the hub .*, or private"),
        (ReadTimeout("slow"), r"cannot be downloaded \(ReadTimeout: slow\)"),
        (OSError(28, "No space left on device"), "cannot be downloaded .OSError: .*No space left"),
    ],
)
def test_what_the_hub_refuses(snapshot, monkeypatch, error, message):
    refused = RepositoryNotFoundError.__new__(RepositoryNotFoundError, "404\nNot found")

    def refuse(*_, **__):
        raise error or refused

    monkeypatch.setattr(hub, "dataset_info", refuse)
    monkeypatch.setattr(hub, "snapshot_download", refuse)
    with pytest.raises(UserError, match=message) as raised:
        load("hf:owner/x")
    assert "\n" not in str(raised.value)


def test_the_package_is_missing(monkeypatch):
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(UserError, match="pip install huggingface_hub"):
        load("hf:owner/x")
