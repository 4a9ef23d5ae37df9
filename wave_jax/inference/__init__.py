"""Trained networks at work: labels for texts, and how good they are."""

from wave_jax.inference.classifier import Classifier, Prediction
from wave_jax.inference.loading import load

__all__ = ["Classifier", "Prediction", "load"]
