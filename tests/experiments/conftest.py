"""A scale at which every item runs in seconds, and texts for it."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from tests.cli.conftest import command, own_cache, write_texts  # noqa: F401
from wave_jax.experiments.scale import SCALES

TINY = dataclasses.replace(
    SCALES["small"], dim=8, bert_layers=1, texts=120, test_texts=40, max_length=12, vocab_size=60,
    epochs=1, long_epochs=1, quick_steps=10, gradient_steps=10, seeds=1,
    learning_rates=(1e-3, 3e-3),
)  # fmt: skip


@pytest.fixture(autouse=True)
def tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(SCALES, "small", TINY)


@pytest.fixture(scope="session")
def texts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Texts whose only column of text is called so."""
    path = write_texts(tmp_path_factory.mktemp("texts") / "plain.csv", 300)
    path.write_text(path.read_text().replace("title,body,topic", "title,text,label", 1))
    return path
