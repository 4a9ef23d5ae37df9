"""Trained classifiers: loading, prediction, evaluation reports, probing."""

from wave_jax.inference.classifier import Classifier, Prediction, load

__all__ = ["Classifier", "Prediction", "load"]
