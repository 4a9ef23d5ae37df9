"""The linear path: naive Bayes as scikit-learn has it, and one result on both paths."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from wave_jax.models import ModelConfig, build_model, naive_bayes, table_rows
from wave_jax.models.linear import linear_logits, linear_logits_by_counts

VOCAB, CLASSES = 30, 3


@pytest.fixture(scope="module")
def texts() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Ids one after the other, offsets (one text is empty, one holds a token twice), labels."""
    rng = np.random.default_rng(0)
    lengths = np.append(rng.integers(1, 9, 40), [0, 2])
    ids = rng.integers(0, VOCAB - 3, lengths.sum())  # the last ids occur in no text
    ids[-2:] = 5
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    return ids.astype(np.int32), offsets, rng.integers(0, CLASSES, len(lengths))


def test_naive_bayes_is_that_of_scikit_learn(texts) -> None:
    bayes = pytest.importorskip("sklearn.naive_bayes")
    ids, offsets, labels = texts
    present = np.zeros((len(labels), VOCAB))
    for row in range(len(labels)):
        present[row, ids[offsets[row] : offsets[row + 1]]] = 1
    logs = bayes.MultinomialNB(alpha=1.0).fit(present, labels).feature_log_prob_.T
    expected = logs - logs.mean(axis=1, keepdims=True)
    found = naive_bayes(ids, offsets, labels, VOCAB, CLASSES)
    # float32 of a float64 result
    np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-6)


def test_rows_beyond_the_vocabulary_change_no_decision(texts) -> None:
    ids, offsets, labels = texts
    some, more = (naive_bayes(ids, offsets, labels, rows, CLASSES) for rows in (VOCAB, 128))
    # a row more adds the same to every token's weight for a class
    np.testing.assert_allclose(np.ptp(some - more[:VOCAB], axis=0), 0, atol=1e-6)


def test_the_first_token_and_masked_ones_have_no_say() -> None:
    rng = np.random.default_rng(1)
    weights, mask = rng.standard_normal((4, 6, CLASSES)).astype(np.float32), np.ones((4, 6), bool)
    mask[1, 3:], mask[2, 1:] = False, False
    expected = np.zeros((4, CLASSES))
    for row in range(4):
        others = weights[row, 1:][mask[row, 1:]].astype(np.float64)
        expected[row] = others.sum(axis=0) / np.sqrt(max(len(others), 1))
    found = linear_logits(weights, mask)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)  # sums of 5 in float32
    inverse = np.arange(24, dtype=np.int32).reshape(4, 6)
    by_counts = linear_logits_by_counts(jnp.asarray(weights.reshape(24, CLASSES)), inverse, mask)
    np.testing.assert_allclose(by_counts, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("linear_path", ["zeros", "naive-bayes"])
def test_alone_both_paths_agree_and_weights_start_at_zero(linear_path: str) -> None:
    sizes = {"vocab_size": VOCAB, "num_classes": CLASSES, "max_length": 8}
    model = build_model(ModelConfig(kind="linear", linear_path=linear_path), **sizes)  # type: ignore
    ids = np.array([[2, 5, 5, 3], [2, 3, 0, 0]], np.int32)
    mask = np.array([[1, 1, 1, 1], [1, 1, 0, 0]], bool)
    params = model.init(jax.random.key(0), ids, mask)["params"]
    assert params["embed"]["embedding"].shape == (table_rows(VOCAB), CLASSES)
    assert not any(np.any(leaf) for leaf in jax.tree.leaves(params))
    drawn = np.random.default_rng(2).standard_normal((table_rows(VOCAB), CLASSES))
    params = {"bias": jnp.arange(3.0), "embed": {"embedding": jnp.asarray(drawn, jnp.float32)}}
    plain = model.apply({"params": params}, ids, mask)
    distinct, inverse = np.unique(ids, return_inverse=True)
    given = distinct.astype(np.int32), inverse.reshape(ids.shape), mask
    fast = model.apply({"params": params}, *given, method="logits_from_distinct")
    np.testing.assert_allclose(fast, plain, rtol=1e-6, atol=1e-6)
