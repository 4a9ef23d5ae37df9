"""The linear path: one result on both paths, in which [CLS] has no say."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np

from wave_jax.models import ModelConfig, build_model, table_rows
from wave_jax.models.base import linear_logits, linear_logits_by_counts

VOCAB, CLASSES = 30, 3


def test_the_first_token_and_masked_ones_have_no_say() -> None:
    rng = np.random.default_rng(1)
    weights, mask = rng.standard_normal((4, 6, CLASSES)).astype(np.float32), np.ones((4, 6), bool)
    mask[1, 3:], mask[2, 1:] = False, False
    expected = np.zeros((4, CLASSES))
    for row in range(4):
        others = weights[row, 1:][mask[row, 1:]].astype(np.float64)
        expected[row] = others.sum(axis=0) / max(len(others), 1) ** 0.25
    found = linear_logits(weights, mask)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)  # sums of 5 in float32
    inverse = np.arange(24, dtype=np.int32).reshape(4, 6)
    by_counts = linear_logits_by_counts(jnp.asarray(weights.reshape(24, CLASSES)), inverse, mask)
    np.testing.assert_allclose(by_counts, expected, rtol=1e-5, atol=1e-6)


def test_alone_both_paths_agree_and_weights_start_at_zero() -> None:
    sizes = {"vocab_size": VOCAB, "num_classes": CLASSES, "max_length": 8}
    model = build_model(ModelConfig(kind="linear"), **sizes)
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
