"""One step of training: padding, clipping, randomness, and the two ways to update the table."""

from __future__ import annotations

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from tests.training.small import Texts, make_task, max_difference, small_model
from wave_jax.training.metrics import balanced_weights, classification_sums, empty_metrics
from wave_jax.training.state import current_params

FNET = {"kind": "fnet"}  # takes ids only: no `logits_from_rows`


def steps(task, batches):
    """Makes steps; returns the current parameters and the sums."""
    state, sums, root = task.new_state(), empty_metrics(), task.root_key()
    step = task.jitted_step(state)
    for batch in batches:
        state, sums = step(state, sums, root, batch)
    return current_params(state), sums


def full_batch():
    """A batch in which every id of the table occurs."""
    batch = Texts(16, 16).batch(0)
    return batch._replace(
        distinct=np.arange(128, dtype=np.int32),
        inverse=np.arange(16 * 12, dtype=np.int32).reshape(16, 12) % 128,
        mask=np.ones((16, 12), bool),
    )


def test_row_wise_and_dense_agree_where_every_row_is_touched():
    made = [full_batch()] * 12
    rows, _ = steps(make_task(table_optimizer="rows"), made)
    dense, _ = steps(make_task(table_optimizer="dense"), made)
    assert max_difference(rows, dense) < 2e-6  # 12 steps of 1e-2 in float32


def test_gradients_as_rows_equal_gradients_from_ids(monkeypatch):
    batch = Texts(16, 16).batch(0)
    task = make_task(table_optimizer="dense")
    by_rows, a = steps(task, [batch] * 3)
    monkeypatch.setattr("wave_jax.training.step.has_rows", lambda model: False)
    by_ids, b = steps(task, [batch] * 3)
    assert max_difference(by_rows, by_ids) < 1e-6  # sums of the table's gradient in another order
    assert max_difference(a, b) < 1e-5


def test_a_model_without_rows_trains():
    _, sums = steps(make_task(model=small_model(**FNET)), [Texts(16, 16).batch(0)] * 30)
    assert sums.means()["accuracy"] > 0.8


@pytest.mark.parametrize("model", [{}, FNET], ids=["rows", "ids"])
def test_a_frozen_table_is_no_part_of_the_optimization(model):
    task = make_task(model=small_model(**model), table_optimizer="frozen", weight_decay=0.1)
    batch, before = Texts(16, 16).batch(0), task.new_state()
    sizes = [leaf.size for leaf in jax.tree.leaves(before.opt_state)]
    table = before.params["embed"]["embedding"]
    assert table.size not in sizes  # no moments
    kept, others = np.array(table), np.array(before.params["classifier"]["kernel"])
    params, sums = steps(task, [batch])
    np.testing.assert_array_equal(params["embed"]["embedding"], kept)
    assert np.abs(params["classifier"]["kernel"] - others).max() > 1e-3

    def loss(rest):
        given = before_params | rest
        logits = task.model.apply({"params": given}, batch.distinct[batch.inverse], batch.mask)
        return -jnp.mean(jax.nn.log_softmax(logits)[jnp.arange(16), batch.labels])

    before_params = task.new_state().params
    rest = {name: leaf for name, leaf in before_params.items() if name != "embed"}
    norm = float(optax.tree.norm(jax.grad(loss)(rest)))  # what is clipped is without the table
    assert float(sums.means()["grad_norm"]) == pytest.approx(norm, rel=1e-5)


def test_the_step_is_adamw_on_the_clipped_gradient():
    batch, task = full_batch(), make_task(model=small_model(), clip_norm=0.1, weight_decay=0.2)
    before = jax.device_get(task.new_state().params)

    @jax.jit
    @jax.grad
    def gradient(params):
        ids = batch.distinct[batch.inverse]
        logits = task.model.apply({"params": params}, ids, batch.mask)
        chosen = jax.nn.log_softmax(logits)[jnp.arange(16), batch.labels]
        return -jnp.mean(chosen)

    grads = jax.device_get(gradient(before))
    norm = np.sqrt(sum(np.sum(np.square(g)) for g in jax.tree.leaves(grads)))
    rate = float(task.schedule(0))
    # the first step of Adam is the gradient's sign, up to epsilon: g / (|g| + 1e-8)
    decays = {"kernel": 0.2, "embedding": 0.2}

    def expected(path, param, grad):
        clipped = np.asarray(grad, np.float64) * 0.1 / norm
        direction = clipped / (np.abs(clipped) + 1e-8)
        return param - rate * (direction + decays.get(path[-1].key, 0.0) * param)

    after, sums = steps(task, [batch])
    wanted = jax.tree_util.tree_map_with_path(expected, before, grads)
    assert norm > 0.1
    np.testing.assert_allclose(sums.grad_norm, norm, rtol=1e-5)
    # a sign is lost only where a gradient is near epsilon
    assert max_difference(after, wanted) < 1e-4 * rate * 20


def test_rows_that_fill_up_a_batch_change_nothing():
    task = make_task()
    batch = Texts(10, 16).batch(0)
    other = batch._replace(labels=np.where(batch.weights > 0, batch.labels, 2))
    inverse = batch.inverse.copy()
    inverse[10:] = 3
    other = other._replace(inverse=inverse)
    one, a = steps(task, [batch] * 3)
    two, b = steps(task, [other] * 3)
    assert max_difference(one, two) == 0
    assert max_difference(a, b) == 0
    assert float(a.examples) == 30


def test_randomness_depends_on_the_step_and_the_seed_only():
    made = [Texts(16, 16).batch(0)] * 2
    task = make_task()
    assert max_difference(steps(task, made)[0], steps(task, made)[0]) == 0
    state, step = task.new_state(), task.jitted_step(task.new_state())
    state, one = step(state, empty_metrics(), task.root_key(), made[0])
    _, two = step(task.new_state(), empty_metrics(), jax.random.key(1), made[0])
    assert float(one.loss) != float(two.loss)
    later = dataclasses.replace(task.new_state(), step=jnp.int32(1))
    _, three = step(later, empty_metrics(), task.root_key(), made[0])
    assert float(one.loss) != float(three.loss)


def test_label_smoothing_and_weights_against_optax():
    rng = np.random.default_rng(0)
    logits = rng.normal(size=(6, 3)).astype(np.float32)
    labels, weights = rng.integers(0, 3, 6), np.array([1, 1, 0, 1, 0, 1], np.float32)
    sums = classification_sums(logits, labels, weights, 0.1)
    targets = optax.smooth_labels(np.eye(3)[labels], 0.1)
    expected = -(targets * jax.nn.log_softmax(logits)).sum(-1)
    assert float(sums["loss"]) == pytest.approx(float((expected * weights).sum()), rel=1e-6)
    assert float(sums["correct"]) == (weights * (logits.argmax(-1) == labels)).sum()
    assert float(sums["examples"]) == 4


def test_class_weights_against_plain_sums_and_scikit_learn():
    rng = np.random.default_rng(0)
    logits = rng.normal(size=(6, 3)).astype(np.float32)
    labels, weights = np.array([0, 2, 2, 0, 1, 0]), np.array([1, 1, 0, 1, 1, 1], np.float32)
    of_class = np.array([0.5, 1.0, 4.0], np.float32)
    losses = -jax.nn.log_softmax(logits)[np.arange(6), labels]
    plain = classification_sums(logits, labels, weights)
    sums = classification_sums(logits, labels, weights, 0.0, of_class)
    expected = float((losses * weights * of_class[labels]).sum())
    assert float(sums.pop("objective")) == pytest.approx(expected, rel=1e-6)
    assert sums == plain, "what is reported has no weights"
    found = balanced_weights(labels, 4)
    assert found[3] == 1.0, "no text has it"
    assert found[labels].sum() == pytest.approx(6)
    expected = pytest.importorskip("sklearn.utils").compute_class_weight(
        "balanced", classes=np.arange(3), y=labels
    )
    np.testing.assert_allclose(found[:3], expected, rtol=1e-6)


def test_a_texts_share_of_the_gradient_does_not_depend_on_its_batch():
    """Weights of 3 triple the gradient, so it is not divided by them, and no reported figure."""
    batch, task = Texts(16, 16).batch(0), make_task(model=small_model())
    weighted = dataclasses.replace(task, class_weights=np.full(3, 3.0, np.float32))
    (_, plain), (_, sums) = (steps(each, [batch]) for each in (task, weighted))
    assert float(sums.grad_norm) == pytest.approx(3 * float(plain.grad_norm), rel=1e-5)
    assert float(sums.loss) == pytest.approx(float(plain.loss), rel=1e-6)
    assert float(sums.correct) == float(plain.correct)


def test_the_first_step_that_is_not_finite_is_remembered():
    good = Texts(16, 16).batch(0)
    bad = good._replace(weights=np.full(16, np.inf, np.float32))
    _, sums = steps(make_task(), [good, good, bad, good, bad])
    assert int(sums.bad_step) == 2


def test_words_that_the_batches_dropped_are_not_dropped_again():
    task = make_task(model=small_model(word_dropout=0.5))
    assert task.learner is task.model
    task.batches.word_dropout = 0.5
    task = dataclasses.replace(task)  # `learner` is decided once
    assert task.learner.word_dropout == 0
    assert task.model.word_dropout == 0.5
