"""The network: one result whichever path computes it, however it is padded or batched."""

import itertools
import math
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests import oracle
from wave_jax.models import ModelConfig, build_model, table_rows

VOCAB, LENGTH, SEP, ENDS = 40, 12, 3, (5, 6)
LENGTHS = (12, 7, 3, 2)
SCOPES = [("input", "input"), ("sentence", "input"), ("sentence", "sentence")]
# float32 sums in another order; relative to the largest logit.
TOLERANCE = 1e-5


@pytest.fixture(scope="module")
def batch():
    rng = np.random.default_rng(0)
    mask = np.arange(LENGTH) < np.array(LENGTHS)[:, None]
    ids = rng.integers(4, VOCAB, mask.shape)
    ids[:, 0] = 2
    ids[np.arange(len(LENGTHS)), np.array(LENGTHS) - 1] = SEP
    return np.where(mask, ids, 0).astype(np.int32), mask


def distinct(ids, padding=3):
    values, inverse = np.unique(ids, return_inverse=True)
    beyond = table_rows(VOCAB) + np.arange(padding)
    return np.concatenate([values, beyond]).astype(np.int32), inverse.reshape(ids.shape)


# What is tested does not depend on the machine code, and fast code takes 4 times longer to make.
jit = partial(jax.jit, compiler_options={"xla_backend_optimization_level": 0})


def build(**overrides):
    config = ModelConfig(**({"dim": 8, "ffn_dim": 12} | overrides))
    return build_model(
        config,
        vocab_size=VOCAB,
        num_classes=3,
        max_length=16,
        sentence_end_ids=ENDS,
        sep_id=SEP,
    )


def initialised(model, batch):
    """Random numbers for every parameter: zero biases would hide where they are forgotten."""
    shapes = jax.eval_shape(model.init, jax.random.key(1), *batch)["params"]
    rng = np.random.default_rng(2)

    def numbers(path, leaf):
        at = 1.0 if path[-1].key == "scale" else 0.0
        return (at + 0.4 * rng.standard_normal(leaf.shape)).astype(np.float32)

    return jax.tree_util.tree_map_with_path(numbers, shapes)


def combinations():
    """The path of counts, and an orthogonal array over all options."""
    ops = ("modulation", "interference", "both")
    for op, scopes in zip(ops, SCOPES, strict=True):
        yield {"op": op, "scopes": scopes}
    yield {"op": "modulation", "position": "sinusoidal", "norms": 1}
    yield {"op": "both", "position": "learned", "scopes": SCOPES[1], "linear_path": True}
    short = {"variants": "table", "head": "linear", "linear_path": True, "ffn_dim": None}
    yield {"op": "modulation", **short}
    yield {"op": "both", "pooling": "mean", **short}
    yield {"op": "modulation", "position": "sinusoidal", "layers": 2, "linear_path": True}
    poolings, positions = ("cls", "mean", "max"), ("none", "sinusoidal", "learned")
    readouts = ("magnitude", "imag", "phase", "real")
    for i, j in itertools.product(range(3), range(3)):
        yield {
            "op": ops[i],
            "pooling": poolings[j],
            "position": positions[(i + j) % 3],
            "scopes": SCOPES[(i + 2 * j) % 3],
            "readout": readouts[(i + 2 * j) % 4],
            "layers": 1 + (i + j + 1) % 2,
        }


@pytest.mark.parametrize(
    "options", list(combinations()), ids=lambda o: "-".join(map(str, o.values()))
)
def test_both_paths_give_one_loss_and_one_gradient(options, batch):
    """The same random omissions too, and longer padding on the path of distinct ids.

    In float64, where the identity between the paths shows to 1e-10.
    """
    model = build(dropout=0.2, word_dropout=0.3, **options)
    params = initialised(model, batch)
    values, inverse = distinct(batch[0])
    padded = tuple(np.pad(x, ((0, 0), (0, 4))) for x in (inverse, batch[1]))
    weights = np.random.default_rng(5).standard_normal((len(LENGTHS), 3))

    def loss(params, inputs, method):
        rngs = {"dropout": jax.random.key(3), "word_dropout": jax.random.key(4)}
        logits = model.apply(
            {"params": params}, *inputs, deterministic=False, rngs=rngs, method=method
        )
        return jnp.sum(weights * logits), logits

    with jax.enable_x64(True):
        run = jit(jax.value_and_grad(loss, has_aux=True), static_argnames="method")
        params = jax.tree.map(lambda x: np.asarray(x, np.float64), params)
        (_, plain), plain_grads = run(params, batch, method="__call__")
        (_, fast), fast_grads = run(params, (values, *padded), method="logits_from_distinct")
    np.testing.assert_allclose(fast, plain, rtol=1e-10, atol=1e-10)
    for got, expected in zip(
        jax.tree.leaves(fast_grads), jax.tree.leaves(plain_grads), strict=True
    ):
        np.testing.assert_allclose(got, expected, atol=1e-10 * max(np.abs(expected).max(), 1))


def test_positions_are_summed_up_by_text_on_cpus_and_at_once_elsewhere(batch, monkeypatch):
    model = build(position="learned", norms=1, scopes=("sentence", "input"))
    params = initialised(model, batch)
    values, inverse = distinct(batch[0])
    found = {}
    for backend in ("cpu", "gpu"):
        monkeypatch.setattr(jax, "default_backend", lambda backend=backend: backend)

        def logits(params):
            inputs = values, inverse, batch[1]
            return model.apply({"params": params}, *inputs, method="logits_from_distinct")

        found[backend] = np.asarray(jit(logits)(params))
        whole = f"f32[4,{LENGTH},2,8]" in str(jax.make_jaxpr(logits)(params))
        assert whole == (backend == "gpu"), "an array over texts x tokens x dimensions"
    expected = model.apply({"params": params}, *batch)
    for logits in found.values():
        np.testing.assert_allclose(logits, expected, atol=TOLERANCE * np.abs(expected).max())


@pytest.mark.parametrize("pooling", ["cls", "mean", "max"])
def test_padding_changes_nothing_in_training_or_evaluation(pooling, batch):
    model = build(pooling=pooling, position="learned", dropout=0.2, word_dropout=0.3, layers=2)
    params = initialised(model, batch)
    rngs = {"dropout": jax.random.key(3), "word_dropout": jax.random.key(4)}
    padded = [np.pad(x, ((0, 0), (0, 4))) for x in batch]
    for deterministic in (True, False):

        @jit
        def logits(inputs, deterministic=deterministic):
            return model.apply({"params": params}, *inputs, deterministic=deterministic, rngs=rngs)

        expected = logits(batch)
        np.testing.assert_allclose(
            logits(padded), expected, atol=TOLERANCE * np.abs(expected).max()
        )


@pytest.mark.parametrize("pooling", ["cls", "mean", "max"])
def test_a_text_alone_is_classified_as_in_a_batch(pooling, batch):
    model = build(pooling=pooling, position="learned", layers=2, scopes=("sentence", "input"))
    params = initialised(model, batch)
    together = jit(model.apply)({"params": params}, *batch)
    for i, length in list(enumerate(LENGTHS))[1::2]:
        alone = jit(model.apply)({"params": params}, batch[0][i : i + 1, :length])
        np.testing.assert_allclose(alone[0], together[i], atol=TOLERANCE * np.abs(together).max())


def test_the_network_is_the_papers_formula(batch):
    """One layer against NumPy: variants, literal complex waves, norm, feed-forward, norm."""
    erf = np.vectorize(math.erf)

    def dense(x, p):
        return x @ p["kernel"] + p["bias"]

    def norm(x, p):
        centred = x - x.mean(axis=-1, keepdims=True)
        return (
            centred / np.sqrt((centred**2).mean(axis=-1, keepdims=True) + 1e-6) * p["scale"]
            + p["bias"]
        )

    meetings = {"modulation": (np.multiply, np.real), "interference": (np.add, np.abs)}
    for op, (meet, read) in meetings.items():
        model = build(op=op)
        params = initialised(model, batch)
        logits = model.apply({"params": params}, *batch)
        p = jax.tree.map(lambda x: np.asarray(x, np.float64), params)
        layer = p["layer_0"]
        for ids, mask, got in zip(*batch, logits, strict=True):
            x = p["embed"]["embedding"][ids[mask]]
            u = np.einsum("nd,dvk->vnk", x, layer["variants"]["kernel"])
            u = u + layer["variants"]["bias"][:, None]
            z = meet(oracle.wave(u[0]), oracle.wave(u[1]))
            x = norm(read(z), layer["norm_in_0"])
            hidden = dense(x, layer["ffn_in"])
            hidden = hidden * 0.5 * (1 + erf(hidden / np.sqrt(2)))
            x = norm(dense(hidden, layer["ffn_out"]), layer["norm_out"])
            expected = dense(x[0], p["classifier"])
            np.testing.assert_allclose(got, expected, atol=TOLERANCE * np.abs(expected).max())


def test_parameters_are_those_of_the_paper(batch):
    model = build(dim=768, ffn_dim=768)
    shapes = jax.eval_shape(model.init, jax.random.key(0), *batch)["params"]
    table = shapes.pop("embed")["embedding"]
    assert table.shape == (table_rows(VOCAB), 768)
    sizes = {name: sum(x.size for x in jax.tree.leaves(p)) for name, p in shapes.items()}
    # Two variant and two feed-forward layers of 768 x 768 with biases: 2,362,368; here two norms.
    assert sizes == {"layer_0": 2_362_368 + 2 * 1536, "classifier": 768 * 3 + 3}
    for leaf in jax.tree.leaves(shapes):
        assert leaf.dtype == jnp.float32


def test_dropout_acts_on_the_pooled_text(batch):
    """Before a maximum over tokens it would zero what is negative and double what is positive."""
    model = build(pooling="max", dropout=0.5, word_dropout=0.0)
    params = initialised(model, batch)
    params["layer_0"]["ffn_out"]["kernel"] *= 0  # the dropout inside then shows nowhere
    params["classifier"] = {"kernel": np.eye(8, 3, dtype=np.float32), "bias": np.zeros(3)}
    whole = np.asarray(model.apply({"params": params}, *batch))

    def drawn(key):
        rngs = {"dropout": key}
        return model.apply({"params": params}, *batch, deterministic=False, rngs=rngs)

    found = np.asarray(jit(jax.vmap(drawn))(jax.random.split(jax.random.key(0), 60)))
    dropped = found == 0
    # The standard deviation of a share of 60 is 0.065.
    np.testing.assert_allclose(dropped.mean(axis=0), 0.5, atol=0.26)
    twice = np.broadcast_to(2 * whole, found.shape)
    np.testing.assert_allclose(found[~dropped], twice[~dropped], rtol=TOLERANCE)


def test_word_dropout_keeps_cls_and_takes_the_given_share(batch):
    model = build(word_dropout=0.4)
    mask = np.ones((200, 50), bool)
    kept = model.apply(
        {},
        jnp.asarray(mask),
        False,
        method="keep_words",
        rngs={"word_dropout": jax.random.key(0)},
    )
    assert kept[:, 0].all()
    # 9,800 draws: three standard deviations of the share are 0.015.
    assert abs(1 - kept[:, 1:].mean() - 0.4) < 0.015


def test_the_refused_network_would_indeed_be_constant(batch):
    model = build(op="interference", readout="imag")
    constant = model.clone(readouts=(("interference", "real"),))
    params = initialised(constant, batch)
    logits = constant.apply({"params": params}, *batch)
    np.testing.assert_array_equal(logits, np.broadcast_to(logits[:1], logits.shape))


def test_sentence_scopes_need_their_segments(batch):
    model = build(scopes=("sentence", "input"))
    params = initialised(model, batch)
    emb = model.apply({"params": params}, batch[0], method="embed")
    with pytest.raises(ValueError, match="need segment_ids"):
        model.apply({"params": params}, emb, batch[1], method="logits_from_embeddings")


def test_learned_positions_end_at_the_models_length(batch):
    model = build(position="learned")
    params = initialised(model, batch)
    with pytest.raises(ValueError, match="reach 16 tokens, the batch has 24"):
        model.apply({"params": params}, np.full((1, 24), 9))


def test_gradients_flow_to_every_parameter(batch):
    for op in ("modulation", "both"):
        model = build(op=op, position="learned", layers=2)
        params = initialised(model, batch)
        grads = jit(jax.grad(lambda p, m=model: (m.apply({"params": p}, *batch)[:, 0] ** 2).sum()))(
            params
        )
        for path, leaf in jax.tree_util.tree_leaves_with_path(grads):
            assert np.abs(leaf).max() > 0, jax.tree_util.keystr(path)
