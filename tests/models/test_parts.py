"""The parts of the network that have rules of their own: sentences, positions, omissions."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from wave_jax.models import sentence_ids
from wave_jax.models.dropout import drop_activations, drop_words
from wave_jax.models.pooled import others_of_first, rest_norm, rest_norm_by_counts
from wave_jax.models.positions import sinusoids

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


def test_omissions_do_not_depend_on_padding_or_on_other_tokens():
    key = jax.random.key(0)
    x = jnp.ones((3, 9, 4))
    longer = drop_activations(jnp.ones((3, 14, 4)), 0.5, key)
    np.testing.assert_array_equal(drop_activations(x, 0.5, key), longer[:, :9])
    np.testing.assert_array_equal(drop_activations(x[:, 0], 0.5, key), longer[:, 0])
    assert set(np.unique(longer)) == {0.0, 2.0}
    mask = jnp.ones((3, 14), bool)
    np.testing.assert_array_equal(
        drop_words(mask[:, :9], 0.5, key), drop_words(mask, 0.5, key)[:, :9]
    )


def test_count_matrix_gives_the_norm_of_the_others():
    rng = np.random.default_rng(0)
    rows = rng.standard_normal((6, 5)).astype(np.float32)
    inverse = rng.integers(0, 6, (4, 8))
    mask = rng.random((4, 8)) < 0.7
    others = others_of_first(jnp.asarray(mask), None)
    expected = np.zeros((4, 5))
    for text in range(4):
        for j in range(1, 8):
            expected[text] += mask[text, j] * rows[inverse[text, j]].astype(np.float64) ** 2
    expected = np.sqrt(expected)
    np.testing.assert_allclose(rest_norm(rows[inverse], others), expected, rtol=1e-6)
    np.testing.assert_allclose(rest_norm_by_counts(rows, inverse, others), expected, rtol=1e-6)


def test_a_text_of_cls_alone_has_no_rest_and_finite_gradients():
    inverse, others = jnp.zeros((1, 3), jnp.int32), jnp.zeros((1, 3), bool)
    for rest in (
        lambda u: rest_norm(u[inverse], others),
        lambda u: rest_norm_by_counts(u, inverse, others),
    ):
        value, grad = jax.value_and_grad(lambda u, rest=rest: rest(u).sum())(jnp.ones((2, 4)))
        assert value == 0
        np.testing.assert_array_equal(grad, jnp.zeros((2, 4)))
