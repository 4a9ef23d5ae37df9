"""Real data sets, in the folder that WAVE_JAX_DATA names (or beside the project)."""

import time

import pytest

from tests.real_data import DATA
from wave_jax.data.config import DataConfig
from wave_jax.data.dataset import load_dataset

pytestmark = pytest.mark.skipif(not DATA.is_dir(), reason="WAVE_JAX_DATA names no folder")


def test_ag_news():
    start = time.process_time()
    dataset = load_dataset(DataConfig(source=str(DATA / "ag_news_csv")))
    assert time.process_time() - start < 2  # a quarter of a second in practice
    assert [len(dataset.train), len(dataset.validation), len(dataset.test)] == [
        27_200,
        6_800,
        3_948,
    ]
    assert dataset.label_names == ("World", "Sports", "Business", "Sci/Tech")


def test_dbpedia():
    dataset = load_dataset(DataConfig(source=str(DATA / "dbpedia_csv")))
    assert [len(dataset.train), len(dataset.validation), len(dataset.test)] == [9_600, 2_400, 2_000]
    assert dataset.label_names[13] == "WrittenWork"
    assert len(dataset.label_names) == 14


def test_imdb():
    train, test = DATA / "imdb" / "train.parquet", DATA / "imdb" / "test.parquet"
    dataset = load_dataset(DataConfig(source=str(train), test=str(test)))
    assert [len(dataset.train), len(dataset.validation), len(dataset.test)] == [
        20_000,
        5_000,
        5_001,
    ]
    assert dataset.label_names == ("neg", "pos")
