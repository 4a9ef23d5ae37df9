"""The shape of a network; `build_model` turns it into a module."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Literal

from wave_jax.ops import Path, ReadoutKind, Superposition

Kind = Literal["wave", "transformer", "bert", "fnet", "mean", "linear", "pool"]
Scope = Literal["input", "sentence"]
Pooling = Literal["cls", "mean", "max"]
Pool = Literal["mean", "mean-abs", "max", "power", "norm", "norm-sum", "norm-product"]
Position = Literal["none", "sinusoidal", "learned"]
Activation = Literal["gelu", "relu", "tanh"]

_HEAD_DIM = 64
_ROW_MULTIPLE = 128  # the table divides over any mesh of a power of two up to this


@dataclass(frozen=True)
class ModelConfig:
    """The shape of the network."""

    kind: Kind = "wave"
    """The Wave Network, or what it is compared with: a Transformer encoder, BERT, FNet, the mean of
    the token embeddings with a linear classifier, the linear path alone, or tokens pooled without
    waves (`pool`) under the heads of waves."""
    op: Literal[Superposition, "both"] = "modulation"
    """How the variants' waves meet: their sum, their product, or a learned mixture of both."""
    variants: Literal["dense", "table"] = "dense"
    """Where a token's two variants come from: two projections of one embedding (the papers), or two
    embeddings of its own, so that there is nothing to project."""
    readout: Literal["auto", ReadoutKind] = "auto"
    """From a wave back to a real embedding; 'auto' takes what validated best for `op`."""
    scopes: tuple[Scope, Scope] = ("input", "input")
    """Tokens that share a magnitude, for each variant: those of the input, or of the sentence."""
    head: Literal["ffn", "linear"] = "ffn"
    """What reads the superposed wave: feed-forward, norm and a linear classifier, or the linear
    classifier alone (one layer only)."""
    norms: Literal[1, 2] = 2
    """Norms about the feed-forward: one after it (the papers), or another one before it, so that
    what is read from the waves has the same scale for texts of any length."""
    linear_path: bool = False
    """Adds to the logits the sum of the n tokens' weights for each class over n^(1/4): a linear
    classifier of the bag of tokens beside the wave, whose weights start at zero."""
    gradient: Path = "both"
    """What the two variants learn from: the gradient's path through the magnitudes alone, through
    the phases alone, or both; the forward pass is the same."""
    pooling: Pooling = "cls"
    """From tokens to a text: the [CLS] token's embedding, or the mean or maximum over all."""
    position: Literal["auto", Position] = "auto"
    """What is added to the token embeddings for their place in the text; 'auto' is none for waves
    and the mean, sinusoidal for a Transformer and FNet, learned for BERT."""
    pool: Pool = "mean"
    """How kind 'pool' makes one value of all tokens in a dimension: their mean, that of their
    absolute values, their maximum, a power mean whose power is learned, their norm r, or r + r' or
    r r' of two embeddings a token: what waves take from a text."""
    dim: int = 768
    """Dimensions of an embedding."""
    table_scale: float | None = None
    """Standard deviation of the initial token embeddings; None means 1/sqrt(dim)."""
    ffn_dim: int | None = None
    """Inner width of the feed-forward; by default dim for waves, twice that for FNet (about as many
    parameters), four times that for a Transformer and BERT."""
    layers: int | None = None
    """Layers, stacked with residual connections; by default 12 for BERT, else 1."""
    heads: int | None = None
    """Attention heads of a Transformer or BERT; by default one for every 64 dimensions."""
    activation: Activation = "gelu"
    """Non-linearity of the feed-forward."""
    dropout: float | None = None
    """Share of a layer's activations set to zero in training; None means 0.5 for waves, 0 for the
    mean and the linear path, else 0.1."""
    word_dropout: float | None = None
    """Share of tokens left out of a text in training ([CLS] stays); None means 0 for BERT, else
    0.4."""
    pretrained: str | None = None
    """Folder of a BERT checkpoint (config.json, model.safetensors, vocab.txt). BERT starts from all
    of it, other kinds from its token embeddings; the vocabulary is taken from it too."""


@dataclass(frozen=True)
class Sizes:
    """A `ModelConfig`'s numbers, the defaults of its kind filled in."""

    ffn_dim: int
    layers: int
    heads: int
    dropout: float
    word_dropout: float
    position: Position


def sizes(config: ModelConfig) -> Sizes:
    """Returns what `config` leaves to its kind.

    >>> sizes(ModelConfig(kind="bert", dim=768))
    Sizes(ffn_dim=3072, layers=12, heads=12, dropout=0.1, word_dropout=0.0, position='learned')
    """
    given = {each.name: getattr(config, each.name) for each in fields(Sizes)}
    default = _DEFAULTS[config.kind]
    heads = max(1, config.dim // _HEAD_DIM)
    usual = replace(default, ffn_dim=default.ffn_dim * config.dim, heads=heads)
    return replace(usual, **{k: v for k, v in given.items() if v not in (None, "auto")})


def table_rows(vocab_size: int) -> int:
    """Returns the rows of the embedding table: `vocab_size` rounded up to a multiple of 128.

    The padding lets rows be split over devices; it counts in no reported figure.

    >>> table_rows(30_522), table_rows(128)
    (30592, 128)
    """
    return -(-vocab_size // _ROW_MULTIPLE) * _ROW_MULTIPLE


# `ffn_dim` is in multiples of `dim`; `heads` depends on `dim` too.
_DEFAULTS: dict[Kind, Sizes] = {
    "wave": Sizes(1, 1, 0, 0.5, 0.4, "none"),
    "transformer": Sizes(4, 1, 0, 0.1, 0.4, "sinusoidal"),
    "bert": Sizes(4, 12, 0, 0.1, 0.0, "learned"),
    "fnet": Sizes(2, 1, 0, 0.1, 0.4, "sinusoidal"),
    "mean": Sizes(0, 0, 0, 0.0, 0.4, "none"),
    "linear": Sizes(0, 0, 0, 0.0, 0.4, "none"),
    "pool": Sizes(1, 1, 0, 0.5, 0.4, "none"),
}
