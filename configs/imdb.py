"""IMDB: 25,000 film reviews to learn from, positive or negative, up to 512 pieces each.

Command:   python train.py --config configs/imdb.py
           python train.py --config configs/imdb.py --preset best
Offline:   --data.source train.parquet --data.test test.parquet
Hardware:  a CPU, or any GPU or TPU
Time:      4 epochs of 16,000 texts take about 5 minutes on one core, 10 of 'best' about 1.5
Expected:  89.3 (modulation), 89.3 ('best') on a part of the data; the paper has 87.02 (modulation)
"""

from __future__ import annotations

from dataclasses import replace

from wave_jax.data.config import DataConfig
from wave_jax.errors import UserError, nearest
from wave_jax.models.config import ModelConfig
from wave_jax.training.config import Config, TrainConfig

PRESETS = ("paper", "best")


def get_config(preset: str = "paper") -> Config:
    """Returns the papers' settings, or those that validated best ('best')."""
    config = Config(
        data=DataConfig(source="tfds:imdb_reviews", max_length=512),
        model=ModelConfig(op="modulation", dim=768),
        train=TrainConfig(epochs=4, batch_size=64, learning_rate=1e-3),
    )
    match preset:
        case "paper":
            return config
        case "best":
            model = replace(config.model, op="both", dim=256, word_dropout=0.8)
            train = replace(config.train, epochs=10, label_smoothing=0.1)
            return replace(config, model=model, train=train)
    raise UserError(f"unknown preset {preset!r}{nearest(preset, PRESETS)}; one of {PRESETS}")
