"""From a configuration to a module: defaults, and what is refused."""

import pytest

from wave_jax.errors import UserError
from wave_jax.models import ModelConfig, build_model

SIZES = {"vocab_size": 9, "num_classes": 2, "max_length": 8}


def build(**options):
    return build_model(ModelConfig(**({"dim": 8} | options)), **SIZES)


def test_readout_defaults_follow_the_operation():
    assert build(op="both").readouts == (("interference", "magnitude"), ("modulation", "real"))
    assert build(op="both", readout="imag").readouts == (
        ("interference", "imag"),
        ("modulation", "imag"),
    )


@pytest.mark.parametrize(
    ("options", "text"),
    [
        (
            {"op": "interference", "readout": "real"},
            "the same output.*Use --model.readout magnitude",
        ),
        ({"dim": 0}, "model.dim must be at least 1, got 0"),
        ({"layers": 0}, "model.layers must be at least 1"),
        ({"dropout": 1.0}, r"model.dropout must be in \[0, 1\), got 1.0"),
        ({"word_dropout": -0.1}, "--model.word-dropout"),
        ({"table_scale": 0.0}, "--model.table-scale must be more than 0, got 0.0"),
        ({"head": "linear", "layers": 2}, "--model.head linear needs --model.layers 1, got 2"),
        (
            {"variants": "table", "position": "learned"},
            "--model.variants table needs --model.position none, got learned",
        ),
        ({"linear_path": True, "pretrained": "bert"}, "pretrained needs .* no --model.linear-path"),
    ],
)
def test_networks_that_cannot_learn_are_refused(options, text):
    with pytest.raises(UserError, match=text):
        build(**options)


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"kind": "bert", "pooling": "max"}, "--model.pooling max has no effect.*kind bert"),
        ({"kind": "mean", "ffn_dim": 8}, "--model.ffn-dim 8 has no effect with --model.kind mean"),
        ({"kind": "fnet", "op": "both"}, "--model.op both has no effect"),
        ({"heads": 4}, "--model.heads 4 has no effect with --model.kind wave"),
        ({"kind": "transformer", "heads": 5}, "dim 64 cannot be divided among 5 attention heads"),
        ({"kind": "transformer", "heads": 0}, "model.heads must be at least 1, got 0"),
        ({"kind": "linear", "dropout": 0.1}, "--model.d.* has no effect with --model.kind linear"),
        ({"kind": "mean", "head": "linear"}, "--model.head linear has no effect"),
        ({"kind": "mean", "word_dropout": 1.0}, r"word-dropout must be in \[0, 1\), got 1.0"),
    ],
)
def test_options_without_meaning_are_refused(options, text):
    with pytest.raises(UserError, match=text):
        build_model(ModelConfig(dim=64, **options), **SIZES)


def test_sentence_scopes_need_a_token_that_ends_sentences():
    with pytest.raises(UserError, match="none: use --model.scopes input input"):
        build(scopes=("input", "sentence"))
