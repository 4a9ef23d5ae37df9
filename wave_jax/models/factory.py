"""From a configuration to a module, with everything checked that the module relies on."""

from __future__ import annotations

from typing import get_args

from wave_jax.errors import UserError
from wave_jax.models.classifier import WaveClassifier
from wave_jax.models.config import ModelConfig
from wave_jax.ops.superposition import ReadoutKind, Superposition

# What validated best on AG News, see the README's table of choices.
_BEST_READOUT: dict[Superposition, ReadoutKind] = {
    "modulation": "real",
    "interference": "magnitude",
}


def build_model(
    config: ModelConfig,
    *,
    vocab_size: int,
    num_classes: int,
    max_length: int,
    sentence_end_ids: tuple[int, ...] = (),
    sep_id: int = -1,
) -> WaveClassifier:
    """Returns the module that `config` describes; its parameters come from `init`.

    Args:
      config: the network's shape.
      vocab_size: token ids are below this.
      num_classes: width of the logits.
      max_length: most tokens of a text; binding for learned positions only.
      sentence_end_ids: ids of '.', '!' and '?', for scopes of sentences.
      sep_id: id of [SEP], likewise.

    Raises:
      UserError: a value out of range, or a combination that cannot learn.

    >>> model = build_model(ModelConfig(dim=8), vocab_size=50, num_classes=2, max_length=16)
    >>> model.readouts
    (('modulation', 'real'),)
    """
    readouts = _readouts(config)
    _check(config, readouts, sentence_end_ids)
    return WaveClassifier(
        vocab_size=vocab_size,
        num_classes=num_classes,
        max_length=max_length,
        dim=config.dim,
        ffn_dim=config.ffn_dim,
        layers=config.layers,
        readouts=readouts,
        scopes=(config.scopes[0], config.scopes[1]),
        pooling=config.pooling,
        position=config.position,
        activation=config.activation,
        dropout=config.dropout,
        word_dropout=config.word_dropout,
        sentence_end_ids=tuple(sentence_end_ids),
        sep_id=sep_id,
    )


def _readouts(config: ModelConfig) -> tuple[tuple[Superposition, ReadoutKind], ...]:
    ops: tuple[Superposition, ...] = (
        get_args(Superposition) if config.op == "both" else (config.op,)
    )
    return tuple(
        (op, _BEST_READOUT[op] if config.readout == "auto" else config.readout) for op in ops
    )


def _check(
    config: ModelConfig,
    readouts: tuple[tuple[Superposition, ReadoutKind], ...],
    sentence_end_ids: tuple[int, ...],
) -> None:
    for name in ("dim", "ffn_dim", "layers"):
        if getattr(config, name) < 1:
            raise UserError(f"model.{name} must be at least 1, got {getattr(config, name)}")
    for name in ("dropout", "word_dropout"):
        if not 0 <= getattr(config, name) < 1:
            raise UserError(f"model.{name} must be in [0, 1), got {getattr(config, name)}")
    if "sentence" in config.scopes and not sentence_end_ids:
        raise UserError(
            "model.scopes with 'sentence' need a vocabulary that has one of '.', '!' and '?' as a "
            "piece; this one has none: use --model.scopes input input"
        )
    constant = readouts == (("interference", "real"),)
    if constant and config.pooling == "cls" and config.layers == 1:
        raise UserError(
            "one layer of interference, read as its real part and pooled at [CLS], gives every "
            "text the same output: the real part w + w' of [CLS] holds nothing of the other "
            "tokens. Use --model.readout magnitude, --model.pooling mean, or --model.layers 2"
        )
