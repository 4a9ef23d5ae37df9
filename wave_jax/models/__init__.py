"""Flax Linen networks over `wave_jax.ops`.

Parameters are plain nested dicts of real arrays; everything is a pure function of (params, inputs)
through `model.apply`.
"""

from wave_jax.models.baselines import EncoderClassifier, LinearClassifier, MeanClassifier
from wave_jax.models.bert import read_pretrained
from wave_jax.models.build import build_model, for_kind, ordered
from wave_jax.models.config import ModelConfig, sizes, table_rows
from wave_jax.models.wave_classifier import WaveClassifier
from wave_jax.models.wave_layer import WaveLayer

__all__ = [
    "EncoderClassifier", "LinearClassifier", "MeanClassifier", "ModelConfig", "WaveClassifier",
    "WaveLayer", "build_model", "for_kind", "ordered", "read_pretrained", "sizes",
    "table_rows",
]  # fmt: skip
