"""BERT's numbers against those of Hugging Face, and checkpoints that cannot be loaded."""

import json
import shutil
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from wave_jax.errors import UserError
from wave_jax.models import ModelConfig, build_model, read_pretrained, table_rows, weights
from wave_jax.probe import cross_entropy

GOLDEN = Path(__file__).parents[1] / "golden" / "bert"  # made by golden/make_bert.py
VOCAB, LENGTH = 38, 10
SHAPE = {"dim": 16, "ffn_dim": 24, "layers": 2, "heads": 2}
# float32 here, float64 there, with sums of up to 24 terms
TOLERANCE = 1e-5


def load(folder=GOLDEN, kind="bert", max_length=LENGTH, **overrides):
    shape = SHAPE if kind in ("bert", "transformer") else {"dim": 16}
    config = ModelConfig(kind=kind, pretrained=str(folder), **(shape | overrides))
    model = build_model(config, vocab_size=VOCAB, num_classes=3, max_length=max_length)
    ids = jax.ShapeDtypeStruct((1, 4), jnp.int32)
    params = jax.eval_shape(model.init, jax.random.key(0), ids)["params"]
    found = read_pretrained(config, vocab_size=VOCAB, max_length=max_length, like=params)
    return model, params, found


@pytest.fixture
def copied(tmp_path):
    return Path(shutil.copytree(GOLDEN, tmp_path / "bert"))


def rewrite(folder, change):
    """Lets `change` alter the header {name: entry} of the folder's weights."""
    path = folder / "model.safetensors"
    data = path.read_bytes()
    length = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + length])
    change(header)
    text = json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + data[8 + length :])


def edit(folder, change):
    """Lets `change` alter the tensors {name: array} of the folder's weights."""
    tensors = load_file(folder / "model.safetensors")
    change(tensors)
    save_file(tensors, folder / "model.safetensors")


def test_bert_gives_the_numbers_of_hugging_face():
    expected = np.load(GOLDEN / "expected.npz")
    model, fresh, found = load()
    weights = load_file(GOLDEN / "model.safetensors")
    head = {
        "kernel": weights["classifier.weight"].T,
        "bias": weights["classifier.bias"],
    }
    params = found | {"classifier": head}
    assert jax.tree.map(jnp.shape, params) == jax.tree.map(lambda leaf: leaf.shape, fresh)
    ids, mask = expected["ids"], expected["mask"]

    def loss(params):
        emb = model.apply({"params": params}, ids, method="embed")
        hidden = model.apply({"params": params}, emb, mask, method="encode")
        logits = model.apply({"params": params}, emb, mask, method="logits_from_embeddings")
        return jnp.mean(cross_entropy(logits, expected["labels"])), (hidden, logits)

    options = {"xla_backend_optimization_level": 0}  # quicker to compile, the same mathematics
    run = jax.jit(jax.value_and_grad(loss, has_aux=True), compiler_options=options)
    (value, (hidden, logits)), grads = run(params)
    np.testing.assert_allclose(hidden[mask], expected["hidden"][mask], atol=TOLERANCE)
    np.testing.assert_allclose(logits, expected["logits"], atol=TOLERANCE)
    np.testing.assert_allclose(value, expected["loss"], atol=TOLERANCE)
    table = grads["embed"]["embedding"][:VOCAB]
    np.testing.assert_allclose(table[1:], expected["table_gradient"][1:], atol=TOLERANCE)


@pytest.mark.parametrize("kind", ["wave", "transformer", "fnet", "mean"])
def test_other_kinds_take_the_token_embeddings_alone(kind):
    _, fresh, found = load(kind=kind)
    table = load_file(GOLDEN / "model.safetensors")["bert.embeddings.word_embeddings.weight"]
    assert jax.tree.map(jnp.shape, found) == {"embed": {"embedding": (table_rows(VOCAB), 16)}}
    np.testing.assert_array_equal(found["embed"]["embedding"][:VOCAB], table)
    assert fresh["embed"]["embedding"].shape == found["embed"]["embedding"].shape


def test_older_names_are_known(copied):
    """Without the prefix 'bert.', and norms with gamma and beta."""

    def change(tensors):
        for name in list(tensors):
            new = name.removeprefix("bert.").replace("LayerNorm.weight", "LayerNorm.gamma")
            tensors[new.replace("LayerNorm.bias", "LayerNorm.beta")] = tensors.pop(name)

    edit(copied, change)
    for got, expected in zip(
        jax.tree.leaves(load(copied)[2]), jax.tree.leaves(load()[2]), strict=True
    ):
        np.testing.assert_array_equal(got, expected)


@pytest.mark.parametrize("dtype", ["bfloat16", "float16", "float64"])
def test_other_precisions_are_read_as_float32(copied, dtype):
    path = copied / "model.safetensors"
    exact = load_file(path)
    save_file({name: x.astype(jnp.dtype(dtype)) for name, x in exact.items()}, path)
    for got, expected in zip(
        jax.tree.leaves(load(copied)[2]), jax.tree.leaves(load()[2]), strict=True
    ):
        assert got.dtype == np.float32
        np.testing.assert_allclose(got, expected, rtol=2**-7, atol=1e-7)  # bfloat16 keeps 8 bits


def transpose_words(tensors):
    name = "bert.embeddings.word_embeddings.weight"
    tensors[name] = np.ascontiguousarray(tensors[name].T)


def test_missing_and_misshapen_tensors_are_named(copied):
    edit(copied, lambda tensors: tensors.pop("bert.encoder.layer.1.attention.self.key.weight"))
    with pytest.raises(
        UserError, match=r"encoder.layer.1.*key.weight is missing, expected \[16, 16"
    ):
        load(copied)

    edit(shutil.copytree(GOLDEN, copied, dirs_exist_ok=True), transpose_words)
    with pytest.raises(UserError, match=r"word_embeddings.weight is \[16, 38\].*\[38, 16\]"):
        load(copied)


def test_broken_files_are_refused(copied):
    path = copied / "model.safetensors"
    whole = path.read_bytes()
    deep = (200_000).to_bytes(8, "little") + b"[" * 200_000
    for data in (whole[:-40], whole[:100], b"", b"\x05" + bytes(7) + b"[1,2]", deep):
        path.write_bytes(data)
        with pytest.raises(UserError, match="is not a whole safetensors file: .*; copy it again"):
            load(copied)


@pytest.mark.parametrize("number", [float("inf"), float("nan"), 1.5, "16", True, -16, None, [16]])
def test_shapes_that_are_no_numbers_are_refused(copied, number):
    rewrite(copied, lambda header: header["bert.pooler.dense.bias"].update(shape=[number]))
    with pytest.raises(UserError, match="is not a whole safetensors file"):
        load(copied)


def test_a_file_that_cannot_be_read_is_named(copied, monkeypatch):
    def refuse(path, framework):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(weights, "safe_open", refuse)
    with pytest.raises(UserError, match=r"cannot read .*model.safetensors: .*Permission denied"):
        load(copied)


def test_json_too_deep_to_read_is_refused(copied):
    (copied / "config.json").write_text("[" * 200_000)
    with pytest.raises(UserError, match=r"config.json cannot be read as JSON: .*recursion"):
        load(copied)


def test_pickles_are_refused_with_the_way_to_convert_them(copied):
    (copied / "model.safetensors").rename(copied / "pytorch_model.bin")
    with pytest.raises(UserError, match="pytorch_model.bin, a pickle.*save_pretrained"):
        load(copied)


def test_folders_that_are_none(copied, tmp_path):
    (copied / "config.json").unlink()
    with pytest.raises(UserError, match=r"holds no config.json: expected .* vocab.txt"):
        load(copied)
    with pytest.raises(UserError, match="expected the folder of a BERT checkpoint"):
        load(tmp_path / "nowhere")


@pytest.mark.parametrize(
    ("key", "value", "text"),
    [
        ("num_hidden_layers", 3, "num_hidden_layers is 3, .* has 2; give --model.layers 3"),
        ("hidden_act", "relu", "hidden_act is 'relu'; only 'gelu'"),
        ("model_type", "roberta", "model_type is 'roberta'; only 'bert'"),
        ("max_position_embeddings", 8, "is 8, but the model has 10; give --data.max-length 8"),
        ("max_position_embeddings", "512", "max_position_embeddings is '512', but the model"),
        ("max_position_embeddings", None, "max_position_embeddings is None, but the model"),
        ("max_position_embeddings", 11, r"position_embeddings.weight is \[12, 16\].*\[11, 16\]"),
        ("hidden_size", "16", "hidden_size is '16', but the model has 16"),
        ("num_attention_heads", [2], r"num_attention_heads is .2., but the model has 2"),
        ("hidden_act", {}, "hidden_act is {}; only 'gelu'"),
    ],
)
def test_other_architectures_are_refused(copied, key, value, text):
    path = copied / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {key: value}))
    with pytest.raises(UserError, match=text):
        load(copied)
