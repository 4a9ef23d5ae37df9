"""The networks that waves are compared with: exact mixing, no trace of padding, gradients."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from wave_jax.models import ModelConfig, build_model, table_rows
from wave_jax.models.baselines import drop_weights, fourier_mix
from wave_jax.probe import gradient_norms

VOCAB, LENGTH = 40, 12
LENGTHS = (12, 7, 3, 2)
KINDS = {
    "transformer": {"heads": 2, "pooling": "mean"},
    "bert": {"heads": 2, "layers": 2},
    "fnet": {"layers": 2, "position": "learned", "pooling": "max"},
    "mean": {},
}
# float32 sums in another order; relative to the largest logit.
TOLERANCE = 1e-5

jit = partial(jax.jit, compiler_options={"xla_backend_optimization_level": 0})


@pytest.fixture(scope="module")
def batch():
    rng = np.random.default_rng(0)
    mask = np.arange(LENGTH) < np.array(LENGTHS)[:, None]
    ids = np.where(mask, rng.integers(4, VOCAB, mask.shape), 0).astype(np.int32)
    return ids, mask


def build(kind, **overrides):
    shape = {} if kind == "mean" else {"ffn_dim": 12}
    config = ModelConfig(kind=kind, dim=8, **(shape | KINDS[kind] | overrides))
    return build_model(config, vocab_size=VOCAB, num_classes=3, max_length=16)


def initialised(model, batch):
    """Random numbers for every parameter: zero biases would hide where they are forgotten."""
    shapes = jax.eval_shape(model.init, jax.random.key(1), *batch)["params"]
    rng = np.random.default_rng(2)

    def numbers(path, leaf):
        at = 1.0 if path[-1].key == "scale" else 0.0
        return (at + 0.4 * rng.standard_normal(leaf.shape)).astype(np.float32)

    return jax.tree_util.tree_map_with_path(numbers, shapes)


@pytest.mark.parametrize("kind", KINDS)
def test_padding_and_neighbours_change_nothing(kind, batch):
    """In training too: the same words and activations are dropped."""
    model = build(kind, dropout=0.2, word_dropout=0.3)
    params = initialised(model, batch)
    rngs = {"dropout": jax.random.key(3), "word_dropout": jax.random.key(4)}

    @partial(jit, static_argnames="deterministic")
    def logits(inputs, deterministic):
        return model.apply({"params": params}, *inputs, deterministic=deterministic, rngs=rngs)

    wider = ((0, 0), (0, 4))
    padded = np.pad(batch[0], wider, constant_values=9), np.pad(batch[1], wider)
    for deterministic in (True, False):
        expected = logits(batch, deterministic)
        atol = TOLERANCE * np.abs(expected).max()
        np.testing.assert_allclose(logits(padded, deterministic), expected, atol=atol)
    expected = logits(batch, True)
    alone = logits((batch[0][2:3, :3], batch[1][2:3, :3]), True)
    np.testing.assert_allclose(alone[0], expected[2], atol=TOLERANCE * np.abs(expected).max())


@pytest.mark.parametrize("kind", KINDS)
def test_gradients_are_found_at_the_embeddings_and_at_every_parameter(kind, batch):
    model = build(kind)
    params = initialised(model, batch)
    labels = np.array([0, 1, 2, 0])
    run = jit(partial(gradient_norms, model))
    norms = run(params, batch[0], labels, mask=batch[1])
    assert {"cls", "input", "embed", "classifier"} <= norms.keys()
    for name, norm in norms.items():
        assert norm > 0, name


def test_keys_biases_alone_have_no_gradient(batch):
    """A softmax does not see what all its scores share, so every other leaf must have one."""
    model = build("bert")
    params = initialised(model, batch)
    grads = jit(jax.grad(lambda p: (model.apply({"params": p}, *batch)[:, 0] ** 2).sum()))(params)
    for path, leaf in jax.tree_util.tree_leaves_with_path(grads):
        name = jax.tree_util.keystr(path)
        largest = np.abs(leaf).max()
        assert (largest < 1e-5) == ("'key'" in name and "'bias'" in name), (name, largest)


def test_fourier_mixing_is_numpys_transform_of_the_unpadded_text():
    rng = np.random.default_rng(0)
    x = rng.standard_normal((4, 30, 6)).astype(np.float32)
    mask = np.arange(30) < np.array([30, 17, 2, 1])[:, None]
    mask[0, 5:9] = False  # dropped words close up
    mixed = jax.jit(fourier_mix)(x, mask)
    assert not mixed[~mask].any()
    for text, kept, got in zip(x, mask, mixed, strict=True):
        expected = np.fft.fft2(text[kept].astype(np.float64)).real
        # float32 sums of 30 x 6 terms
        np.testing.assert_allclose(got[kept], expected, atol=2e-6 * np.abs(expected).max())


def test_fourier_mixing_is_exact_for_long_texts():
    """Angles are reduced before they are rounded: at 2,048 tokens j k is up to 4 million."""
    x = np.random.default_rng(1).standard_normal((2048, 4)).astype(np.float32)
    expected = np.fft.fft2(x.astype(np.float64)).real
    got = fourier_mix(jnp.asarray(x), jnp.ones(2048, bool))
    np.testing.assert_allclose(got, expected, atol=2e-6 * np.abs(expected).max())


def test_the_mean_from_rows_is_the_mean_from_ids(batch):
    """With the same words dropped; the padded distinct ids lie beyond the table."""
    model = build("mean", word_dropout=0.3)
    params = initialised(model, batch)
    values, inverse = np.unique(batch[0], return_inverse=True)
    values = np.concatenate([values, table_rows(VOCAB) + np.arange(3)]).astype(np.int32)
    rngs = {"word_dropout": jax.random.key(4)}

    def loss(params, method, *inputs):
        logits = model.apply(
            {"params": params}, *inputs, deterministic=False, rngs=rngs, method=method
        )
        return jnp.sum(logits**2)

    run = jit(jax.grad(loss), static_argnums=1)
    plain = run(params, "__call__", *batch)
    rows = run(params, "logits_from_distinct", values, inverse.reshape(batch[0].shape), batch[1])
    for got, expected in zip(jax.tree.leaves(rows), jax.tree.leaves(plain), strict=True):
        np.testing.assert_allclose(got, expected, atol=TOLERANCE * np.abs(expected).max())


def test_attention_weights_are_dropped_at_the_rate_and_scaled_up():
    weights = drop_weights(jnp.ones((2, 3, 40, 40)), 0.25, jax.random.key(0))
    assert set(np.unique(weights)) == {0, np.float32(1 / 0.75)}
    # 9,600 draws: three standard deviations of the share are 0.014
    assert abs(float((weights == 0).mean()) - 0.25) < 0.014
    assert not (weights[0, 0] == weights[0, 1]).all()
    assert not (weights[0, 0, 0] == weights[0, 0, 1]).all()


def test_parameters_of_bert_base_and_of_fnet():
    """BERT base has 109,482,240 parameters (its table of 30,522 rows included)."""
    counts = {}
    for kind in ("bert", "fnet", "wave"):
        model = build_model(
            ModelConfig(kind=kind), vocab_size=30_522, num_classes=4, max_length=512
        )
        ids = jax.ShapeDtypeStruct((1, 4), jnp.int32)
        shapes = jax.eval_shape(model.init, jax.random.key(0), ids)["params"]
        table, head = shapes.pop("embed"), shapes.pop("classifier")
        assert table["embedding"].shape == (table_rows(30_522), 768)
        assert head["kernel"].shape == (768, 4)
        counts[kind] = sum(leaf.size for leaf in jax.tree.leaves(shapes))
    assert counts["bert"] + 30_522 * 768 == 109_482_240
    assert abs(counts["fnet"] / counts["wave"] - 1) < 0.001


@pytest.mark.parametrize("kind", ["bert", "fnet"])
def test_learned_positions_end_at_the_models_length(kind, batch):
    model = build(kind)
    params = initialised(model, batch)
    model.apply({"params": params}, np.full((1, 23), 9))  # padded from 16 to a multiple of 8
    with pytest.raises(ValueError, match="reach 16 tokens, the batch has 24"):
        model.apply({"params": params}, np.full((1, 24), 9))
