"""From a configuration to a module, with everything checked that the module relies on."""

from __future__ import annotations

import dataclasses
from typing import Any, TypeAlias, get_args

from wave_jax.errors import UserError
from wave_jax.models.baselines import FNetClassifier, MeanClassifier, TransformerClassifier
from wave_jax.models.config import Kind, ModelConfig, Sizes, sizes
from wave_jax.models.wave_classifier import WaveClassifier
from wave_jax.ops import ReadoutKind, Superposition

Classifier: TypeAlias = WaveClassifier | TransformerClassifier | FNetClassifier | MeanClassifier
Readouts: TypeAlias = tuple[tuple[Superposition, ReadoutKind], ...]

# What validated best on AG News, see docs/CHOICES.md; other operations are read as real.
_BEST_READOUT: dict[Superposition, ReadoutKind] = {"interference": "magnitude"}
# Options that a kind has no use for: silently ignoring them would mislead.
_WAVES_ALONE = ("op", "readout", "scopes")
_WITHOUT_EFFECT: dict[Kind, tuple[str, ...]] = {
    "wave": ("heads",),
    "transformer": _WAVES_ALONE,
    "bert": (*_WAVES_ALONE, "pooling", "position", "activation"),
    "fnet": (*_WAVES_ALONE, "heads"),
    "mean": (*_WAVES_ALONE, "pooling", "position", "activation", "heads", "ffn_dim", "layers"),
}


def build_model(
    config: ModelConfig,
    *,
    vocab_size: int,
    num_classes: int,
    max_length: int,
    sentence_end_ids: tuple[int, ...] = (),
    sep_id: int = -1,
) -> Classifier:
    """Returns the module that `config` describes; its parameters come from `init`.

    Args:
      config: the network's shape.
      vocab_size: token ids are below this.
      num_classes: width of the logits.
      max_length: most tokens of a text; binding for learned positions only.
      sentence_end_ids: ids of '.', '!' and '?', for scopes of sentences.
      sep_id: id of [SEP], likewise.

    Raises:
      UserError: a value out of range, or a combination that cannot learn or has no meaning.

    >>> model = build_model(ModelConfig(dim=8), vocab_size=50, num_classes=2, max_length=16)
    >>> model.readouts
    (('modulation', 'real'),)
    """
    size = sizes(config)
    _check(config, size)
    fields: dict[str, Any] = {
        "vocab_size": vocab_size,
        "num_classes": num_classes,
        "max_length": max_length,
        "dim": config.dim,
        "position": size.position,
        "dropout": size.dropout,
        "word_dropout": size.word_dropout,
    }
    if config.kind == "mean":
        return MeanClassifier(**fields)
    fields |= {
        "ffn_dim": size.ffn_dim,
        "layers": size.layers,
        "pooling": config.pooling,
        "activation": config.activation,
    }
    if config.kind == "fnet":
        return FNetClassifier(**fields)
    if config.kind in ("transformer", "bert"):
        return TransformerClassifier(**fields, heads=size.heads, bert=config.kind == "bert")
    readouts = _readouts(config)
    _check_waves(config, size, readouts, sentence_end_ids)
    return WaveClassifier(
        **fields,
        readouts=readouts,
        scopes=(config.scopes[0], config.scopes[1]),
        sentence_end_ids=tuple(sentence_end_ids),
        sep_id=sep_id,
    )


def _readouts(config: ModelConfig) -> Readouts:
    def readout(op: Superposition) -> ReadoutKind:
        return _BEST_READOUT.get(op, "real") if config.readout == "auto" else config.readout

    ops = get_args(Superposition) if config.op == "both" else (config.op,)
    return tuple((op, readout(op)) for op in ops)


def _check(config: ModelConfig, size: Sizes) -> None:
    def option(name: str) -> str:
        return f"--model.{name.replace('_', '-')}"

    for field in dataclasses.fields(config):
        value = getattr(config, field.name)
        if field.name in _WITHOUT_EFFECT[config.kind] and value != field.default:
            raise UserError(
                f"{option(field.name)} {value} has no effect with --model.kind {config.kind}: "
                "leave it out"
            )
    least = {"dim": config.dim}
    if config.kind != "mean":
        least |= {"ffn_dim": size.ffn_dim, "layers": size.layers, "heads": size.heads}
    for name, value in least.items():
        if value < 1:
            raise UserError(f"{option(name)} must be at least 1, got {value}")
    for name, rate in (("dropout", size.dropout), ("word_dropout", size.word_dropout)):
        if not 0 <= rate < 1:
            raise UserError(f"{option(name)} must be in [0, 1), got {rate}")
    if config.kind in ("transformer", "bert") and config.dim % size.heads:
        raise UserError(
            f"--model.dim {config.dim} cannot be divided among {size.heads} attention heads: "
            "give --model.heads a divisor of it"
        )


def _check_waves(
    config: ModelConfig, size: Sizes, readouts: Readouts, sentence_end_ids: tuple[int, ...]
) -> None:
    if "sentence" in config.scopes and not sentence_end_ids:
        raise UserError(
            "--model.scopes with 'sentence' need a vocabulary that has '.', '!' or '?' as a token; "
            "this one has none: use --model.scopes input input"
        )
    constant = readouts == (("interference", "real"),)
    if constant and config.pooling == "cls" and size.layers == 1:
        raise UserError(
            "one layer of interference, read as its real part and pooled at [CLS], gives every "
            "text the same output: the real part w + w' of [CLS] holds nothing of the other "
            "tokens. Use --model.readout magnitude, --model.pooling mean, or --model.layers 2"
        )
