"""Trained networks at work: labels for texts, and how good they are."""

from wave_jax.inference.classifier import Classifier, Prediction, load

__all__ = ["Classifier", "Prediction", "load"]
