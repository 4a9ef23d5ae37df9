"""Flax Linen networks over `wave_jax.ops`.

Parameters are plain nested dicts of real arrays; everything is a pure function of (params, inputs)
through `model.apply`.
"""

from wave_jax.models.classifier import WaveClassifier
from wave_jax.models.config import ModelConfig, table_rows
from wave_jax.models.factory import build_model
from wave_jax.models.layer import WaveLayer
from wave_jax.models.sentences import sentence_ids

__all__ = [
    "ModelConfig",
    "WaveClassifier",
    "WaveLayer",
    "build_model",
    "sentence_ids",
    "table_rows",
]
