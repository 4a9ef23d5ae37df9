"""Flax Linen networks over `wave_jax.ops`.

Parameters are plain nested dicts of real arrays; everything is a pure function of (params, inputs)
through `model.apply`.
"""

from wave_jax.models.base import sentence_ids
from wave_jax.models.baselines import FNetClassifier, MeanClassifier, TransformerClassifier
from wave_jax.models.bert import read_pretrained
from wave_jax.models.build import build_model
from wave_jax.models.config import ModelConfig, Sizes, sizes, table_rows
from wave_jax.models.wave_classifier import WaveClassifier
from wave_jax.models.wave_layer import WaveLayer

__all__ = [
    "FNetClassifier",
    "MeanClassifier",
    "ModelConfig",
    "Sizes",
    "TransformerClassifier",
    "WaveClassifier",
    "WaveLayer",
    "build_model",
    "read_pretrained",
    "sentence_ids",
    "sizes",
    "table_rows",
]
