"""From a configuration to a module, with everything checked that the module relies on."""

from __future__ import annotations

import dataclasses
from typing import Any, TypeAlias

from wave_jax.errors import UserError
from wave_jax.models.baselines import (
    EncoderClassifier,
    LinearClassifier,
    MeanClassifier,
    PoolingClassifier,
)
from wave_jax.models.config import Kind, ModelConfig, Sizes, sizes
from wave_jax.models.wave_classifier import WaveClassifier
from wave_jax.ops import ReadoutKind, Superposition

Classifier: TypeAlias = (
    WaveClassifier | EncoderClassifier | MeanClassifier | LinearClassifier | PoolingClassifier
)
_MODULES: dict[Kind, type[Classifier]] = {
    "wave": WaveClassifier,
    "mean": MeanClassifier,
    "linear": LinearClassifier,
    "pool": PoolingClassifier,
}

# What validated best on AG News, see docs/CHOICES.md; other operations are read as real.
_BEST_READOUT: dict[Superposition, ReadoutKind] = {"interference": "magnitude"}
# Options that a kind has no use for: silently ignoring them would mislead.
_WAVES_ALONE = ("op", "variants", "readout", "scopes", "norms", "gradient")
_NOT_HEADS = (*_WAVES_ALONE, "head", "pool")
_NO_LAYERS = (*_NOT_HEADS, "pooling", "position", "activation", "heads", "ffn_dim", "layers")
_WITHOUT_EFFECT: dict[Kind, tuple[str, ...]] = {
    "wave": ("heads", "pool"),
    "transformer": (*_NOT_HEADS, "linear_path"),
    "bert": (*_NOT_HEADS, "linear_path", "pooling", "position", "activation", "table_scale"),
    "fnet": (*_NOT_HEADS, "linear_path", "heads"),
    "mean": (*_NO_LAYERS, "linear_path"),
    "linear": (*_NO_LAYERS, "table_scale", "dim", "dropout"),
    "pool": (*_WAVES_ALONE, "linear_path", "pooling", "position", "heads", "layers"),
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
      max_length: most tokens of a text; binding for learned positions only.
      sentence_end_ids, sep_id: ids of '.', '!' and '?' and of [SEP], for scopes of sentences.

    Raises:
      UserError: a value out of range, or a combination that cannot learn or has no meaning.

    >>> model = build_model(ModelConfig(dim=8), vocab_size=50, num_classes=2, max_length=16)
    >>> model.readouts
    (('modulation', 'real'),)
    """
    size = sizes(config)
    _check(config, size)
    values: dict[str, Any] = vars(config) | vars(size)
    values |= {"vocab_size": vocab_size, "num_classes": num_classes, "max_length": max_length}
    if config.kind == "wave":
        values["readouts"] = _readouts(config)
        values |= {"sentence_end_ids": tuple(sentence_end_ids), "sep_id": sep_id}
        _check_waves(values)
    else:
        values["bert"] = config.kind == "bert"
        values["mixing"] = "fourier" if config.kind == "fnet" else "attention"
    module = _MODULES.get(config.kind, EncoderClassifier)
    names = [field.name for field in dataclasses.fields(module) if field.name in values]
    return module(**{name: values[name] for name in names})


def for_kind(config: ModelConfig, defaults: ModelConfig) -> ModelConfig:
    """Returns `config` without what it has from `defaults` and its kind has no use for.

    >>> for_kind(ModelConfig(kind="mean", op="both", dim=8), ModelConfig(op="both")).op
    'modulation'
    """
    unused: dict[str, Any] = {
        field.name: field.default
        for field in dataclasses.fields(config)
        if field.name in _without_effect(config)
        and getattr(config, field.name) == getattr(defaults, field.name)
    }
    return dataclasses.replace(config, **unused)


def ordered(config: ModelConfig) -> str | None:
    """Returns why a network asks where a token stands in its text, or None if it does not.

    >>> ordered(ModelConfig(kind="fnet"))
    '--model.position is sinusoidal'
    """
    if (position := sizes(config).position) != "none":
        return f"--model.position is {position}"
    return "--model.scopes has 'sentence'" if "sentence" in config.scopes else None


def _readouts(config: ModelConfig) -> tuple[tuple[Superposition, ReadoutKind], ...]:
    both: tuple[Superposition, ...] = ("interference", "modulation")
    ops = both if config.op == "both" else (config.op,)
    if config.readout == "auto":
        return tuple((op, _BEST_READOUT.get(op, "real")) for op in ops)
    return tuple((op, config.readout) for op in ops)


def _without_effect(config: ModelConfig) -> tuple[str, ...]:
    linear = config.kind in ("wave", "pool") and config.head == "linear"
    return _WITHOUT_EFFECT[config.kind] + ("ffn_dim", "activation", "norms") * linear


def _check(config: ModelConfig, size: Sizes) -> None:
    def option(name: str) -> str:
        return f"--model.{name.replace('_', '-')}"

    unused, why = _without_effect(config), f"--model.kind {config.kind}"
    if unused != _WITHOUT_EFFECT[config.kind]:
        why += " --model.head linear"
    for field in dataclasses.fields(config):
        value = getattr(config, field.name)
        if field.name in unused and value != field.default:
            raise UserError(f"{option(field.name)} {value} has no effect with {why}: leave it out")
    used = {"dim": config.dim} | dataclasses.asdict(size)
    least = ("dim", "ffn_dim", "layers", "heads")[: 1 if "layers" in unused else 4]
    for name in least:
        if used[name] < 1:
            raise UserError(f"{option(name)} must be at least 1, got {used[name]}")
    for name in ("dropout", "word_dropout"):
        if not 0 <= used[name] < 1:
            raise UserError(f"{option(name)} must be in [0, 1), got {used[name]}")
    if config.table_scale is not None and not 0 < config.table_scale < float("inf"):
        raise UserError(f"--model.table-scale must be more than 0, got {config.table_scale}")
    if config.kind in ("transformer", "bert") and config.dim % size.heads:
        raise UserError(
            f"--model.dim {config.dim} cannot be divided among {size.heads} attention heads: "
            "give --model.heads a divisor of it"
        )


def _check_waves(values: dict[str, Any]) -> None:
    for name, value, other, needed in (
        ("head", "linear", "layers", 1),
        ("variants", "table", "layers", 1),
        ("variants", "table", "position", "none"),
    ):
        if values[name] == value and values[other] != needed:
            raise UserError(
                f"--model.{name} {value} needs --model.{other} {needed}, got {values[other]}: for "
                "that use --model.head ffn --model.variants dense, or --preset paper"
            )
    if values["pretrained"] and (values["variants"] == "table" or values["linear_path"]):
        raise UserError("--model.pretrained needs --model.variants dense, no --model.linear-path")
    constant = values["readouts"] == (("interference", "real"),)
    if constant and values["pooling"] == "cls" and values["layers"] == 1:
        raise UserError(
            "one layer of interference, read as its real part and pooled at [CLS], gives every "
            "text the same output: the real part w + w' of [CLS] holds nothing of the other "
            "tokens. Use --model.readout magnitude, --model.pooling mean, or --model.layers 2"
        )
    if "sentence" in values["scopes"] and not values["sentence_end_ids"]:
        raise UserError(
            "--model.scopes with 'sentence' need a vocabulary that has '.', '!' or '?' as a token; "
            "this one has none: use --model.scopes input input"
        )
