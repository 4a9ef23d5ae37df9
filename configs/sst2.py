"""SST-2: 67,349 phrases of film reviews, positive or negative; tested on GLUE's validation part.

Command:   python train.py --config configs/sst2.py
           python train.py --config configs/sst2.py --preset best
Offline:   --data.source train.tsv --data.test dev.tsv
Hardware:  a CPU, or any GPU or TPU
Time:      not measured
Expected:  not measured; no figure in the papers
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
        data=DataConfig(source="tfds:glue/sst2", max_length=64),
        model=ModelConfig(op="modulation", dim=768),
        train=TrainConfig(epochs=4, batch_size=64, learning_rate=1e-3),
    )
    match preset:
        case "paper":
            return config
        case "best":
            model = replace(config.model, op="both", dim=256, word_dropout=0.6)
            train = replace(config.train, epochs=10, label_smoothing=0.1)
            return replace(config, model=model, train=train)
    raise UserError(f"unknown preset {preset!r}{nearest(preset, PRESETS)}; one of {PRESETS}")
