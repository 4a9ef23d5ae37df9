"""What the networks share: sentences, positions, dropout, pooling, and checks of a batch."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from wave_jax.models import ModelConfig, build_model
from wave_jax.models.base import drop, pool, sentence_ids, sinusoids

CLS, SEP, DOT, BANG = 2, 3, 5, 6


@pytest.mark.parametrize(
    ("ids", "expected"),
    [
        ([CLS, 10, DOT, 11, DOT, SEP, 0], [1, 1, 1, 2, 2, 2, 0]),
        ([CLS, 10, DOT, DOT, DOT, 11, BANG, SEP], [1, 1, 1, 1, 1, 2, 2, 2]),
        ([CLS, 10, 11, SEP], [1, 1, 1, 1]),
        ([CLS, DOT, 10, SEP], [1, 1, 2, 2]),
        ([CLS, SEP], [1, 1]),
    ],
    ids=["two and padding", "ellipsis", "no end", "starts with an end", "empty text"],
)
def test_sentences(ids, expected):
    ids = jnp.array(ids)
    got = sentence_ids(ids, ids > 0, (DOT, BANG), SEP)
    np.testing.assert_array_equal(got, expected)
    np.testing.assert_array_equal(
        jax.jit(lambda i: sentence_ids(i, i > 0, (DOT, BANG), SEP))(ids[None])[0], expected
    )


def test_sinusoids_are_those_of_the_transformer():
    got = sinusoids(50, 6)
    for position in (0, 1, 49):
        for k in range(3):
            angle = position / 10000 ** (2 * k / 6)
            expected = np.array([np.sin(angle), np.cos(angle)]) / np.sqrt(6)
            # float32 angles up to 49 are known to 3e-6.
            np.testing.assert_allclose(got[position, 2 * k : 2 * k + 2], expected, atol=5e-6)


class Dropout(nn.Module):
    @nn.compact
    def __call__(self, x):
        return drop(self, x, 0.5, deterministic=False)


def test_dropout_does_not_depend_on_padding_or_on_other_tokens():
    rngs = {"dropout": jax.random.key(0), "word_dropout": jax.random.key(1)}
    x = jnp.ones((3, 9, 4))
    found, first = (Dropout().apply({}, y, rngs=rngs) for y in (x, x[:, 0]))
    longer = Dropout().apply({}, jnp.ones((3, 14, 4)), rngs=rngs)
    np.testing.assert_array_equal(found, longer[:, :9])
    np.testing.assert_array_equal(first, longer[:, 0])
    assert set(np.unique(longer)) == {0.0, 2.0}
    config = ModelConfig(dim=8, word_dropout=0.5)
    model = build_model(config, vocab_size=9, num_classes=2, max_length=8)
    short, long = (
        model.apply({}, jnp.ones((3, n), bool), False, method="keep_words", rngs=rngs)
        for n in (9, 14)
    )
    np.testing.assert_array_equal(short, long[:, :9])


def test_pooling_sees_real_tokens_alone():
    x = jnp.array([[[1.0, -5.0], [3.0, -1.0], [9.0, 9.0]]])
    mask = jnp.array([[True, True, False]])
    for pooling, expected in (("cls", [1, -5]), ("mean", [2, -3]), ("max", [3, -1])):
        np.testing.assert_array_equal(pool(x, mask, pooling), [expected])


@pytest.mark.parametrize(
    ("ids", "mask"),
    [
        (np.zeros(3, int), np.ones(3, bool)),
        (np.zeros((1, 3)), np.ones((1, 3), bool)),
        (np.zeros((1, 3), int), np.ones((1, 3))),
        (np.zeros((1, 3), int), np.ones((1, 2), bool)),
    ],
    ids=["one text", "float ids", "float mask", "another length"],
)
def test_batches_of_another_kind_are_refused(ids, mask):
    model = build_model(ModelConfig(dim=8), vocab_size=9, num_classes=2, max_length=8)
    with pytest.raises(AssertionError):
        jax.eval_shape(model.init, jax.random.key(0), ids, mask)
