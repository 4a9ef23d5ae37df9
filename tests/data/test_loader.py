"""Grain's iterator: the steps in order, a position to return to, and errors that come out."""

import json

import numpy as np
import pytest

from tests.data.test_batches import ROWS, make_labels, make_tokens
from wave_jax.data.batches import TrainBatches
from wave_jax.data.loader import train_iterator


@pytest.fixture
def batches():
    return TrainBatches(make_tokens(50), make_labels(50), batch_size=8, seed=1, table_rows=ROWS)


def same(batch, other):
    return all(np.array_equal(a, b) for a, b in zip(batch, other, strict=True))


@pytest.mark.parametrize("start", [0, 5, 16, 17])
def test_steps_come_in_order_through_all_epochs(batches, start):
    found = list(train_iterator(batches, start, 17))
    assert len(found) == 17 - start
    assert all(same(batch, batches.batch(start + i)) for i, batch in enumerate(found))


def test_a_position_is_small_json_and_can_be_returned_to(batches):
    iterator = train_iterator(batches, 2, 30)
    for _ in range(9):
        next(iterator)
    state = json.loads(json.dumps(iterator.get_state()))
    assert len(json.dumps(state)) < 100
    after = [next(iterator) for _ in range(3)]
    again = train_iterator(batches, 0, 30)
    next(again)
    again.set_state(state)
    assert all(same(batch, next(again)) for batch in after)
    assert same(after[0], next(train_iterator(batches, 11, 30)))


def test_errors_of_the_thread_come_out(batches, monkeypatch):
    def fail(step):
        raise RuntimeError("a broken batch")

    monkeypatch.setattr(batches, "batch", fail)
    with pytest.raises(RuntimeError, match="a broken batch"):
        next(train_iterator(batches, 0, 3))
