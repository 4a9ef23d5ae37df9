"""The first run: documentation strings found on this machine, labelled by their package.

Command:   python train.py
Hardware:  two CPU cores, no network
Time:      about a minute
Expected:  see the README; the texts are those of the installed packages, so that the number
           differs a little from machine to machine
"""

from __future__ import annotations

from dataclasses import replace

from wave_jax.data.config import DataConfig
from wave_jax.errors import UserError, nearest
from wave_jax.models.config import ModelConfig
from wave_jax.training.config import Config, TrainConfig

PRESETS = ("paper", "best")


def get_config(preset: str = "best") -> Config:
    """Returns the papers' layer, a third as wide; 'best' learns longer, with word dropout."""
    config = Config(
        data=DataConfig(source="docstrings"),
        model=ModelConfig(dim=256),
        train=TrainConfig(epochs=4),
    )
    match preset:
        case "paper":
            return config
        case "best":
            model = replace(config.model, word_dropout=0.4, dropout=0.0)
            return replace(config, model=model, train=replace(config.train, epochs=8))
    raise UserError(f"unknown preset {preset!r}{nearest(preset, PRESETS)}; one of {PRESETS}")
