"""The shape of a network; `build_model` turns it into a module."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Operation = Literal["modulation", "interference", "both"]
Readout = Literal["auto", "real", "imag", "magnitude", "phase"]
Scope = Literal["input", "sentence"]
Pooling = Literal["cls", "mean", "max"]
Position = Literal["none", "sinusoidal", "learned"]
Activation = Literal["gelu", "relu", "tanh"]

_ROW_MULTIPLE = 128  # the table divides over any mesh of a power of two up to this


@dataclass(frozen=True)
class ModelConfig:
    """The shape of the network."""

    op: Operation = "modulation"
    """How the two variants' waves meet: their product, their sum, or a learned mixture of both."""
    readout: Readout = "auto"
    """From a wave back to a real embedding; 'auto' takes what validated best for `op`."""
    scopes: tuple[Scope, Scope] = ("input", "input")
    """Tokens that share a magnitude, for each variant: those of the input, or of the sentence."""
    pooling: Pooling = "cls"
    """From tokens to a text: the [CLS] token's embedding, or the mean or maximum over all."""
    position: Position = "none"
    """What is added to the token embeddings for their place in the text."""
    dim: int = 768
    """Dimensions of an embedding."""
    ffn_dim: int = 768
    """Inner width of the feed-forward."""
    layers: int = 1
    """Wave layers; more than one are stacked with residual connections."""
    activation: Activation = "gelu"
    """Non-linearity of the feed-forward."""
    dropout: float = 0.5
    """Share of a layer's activations set to zero in training."""
    word_dropout: float = 0.4
    """Share of tokens left out of a text in training ([CLS] stays)."""


def table_rows(vocab_size: int) -> int:
    """Returns the rows of the embedding table: `vocab_size` rounded up to a multiple of 128.

    The padding lets rows be split over devices; it counts in no reported figure.

    >>> table_rows(30_522), table_rows(128)
    (30592, 128)
    """
    return -(-vocab_size // _ROW_MULTIPLE) * _ROW_MULTIPLE
