"""Every configuration of the repository, with every preset, takes a step on a tiny stand-in."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from wave_jax.cli.recipes import load_config_file
from wave_jax.runs.job import train

from .conftest import write_texts

CONFIGS = Path(__file__).parents[2] / "configs"


@pytest.mark.parametrize("preset", ["paper", "best"])
@pytest.mark.parametrize("path", sorted(CONFIGS.glob("*.py")), ids=lambda path: path.stem)
def test_one_step(path: Path, preset: str, tmp_path: Path) -> None:
    config = load_config_file(path, preset)
    texts = write_texts(tmp_path / "texts.csv", 100)
    config = replace(
        config,
        data=replace(
            config.data,
            source=str(texts),
            text_columns=("title", "body"),
            label_column="topic",
            cache_dir=str(tmp_path / "cache"),
        ),
        model=replace(config.model, dim=16, ffn_dim=16),
        train=replace(config.train, steps=1),
    )
    summary = train(config, workdir=tmp_path / "run")
    assert summary.steps == 1
    assert summary.test_examples == 20
