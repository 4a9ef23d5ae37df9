"""The prefetching thread: order, errors, and its end."""

from __future__ import annotations

import threading

import pytest

from wave_jax.training.prefetch import prefetch


def threads():
    return [thread for thread in threading.enumerate() if thread.name == "prefetch"]


def test_results_come_in_order_and_at_most_depth_wait():
    made = []
    results = prefetch(range(20), lambda i: made.append(i) or i, depth=3)
    assert next(results) == 0
    assert len(made) <= 6  # one taken, three waiting, one in hand, one being made
    assert list(results) == list(range(1, 20))
    assert not threads()


@pytest.mark.parametrize("where", ["items", "work"])
def test_an_error_comes_after_the_results_before_it(where):
    def items():
        yield from range(3)
        if where == "items":
            raise OSError("gone")
        yield 3

    def work(item):
        if item == 3:
            raise OSError("gone")
        return item

    results = prefetch(items(), work)
    assert [next(results) for _ in range(3)] == [0, 1, 2]
    with pytest.raises(OSError, match="gone"):
        next(results)


def test_closing_ends_the_thread():
    results = prefetch(iter(int, 1), lambda i: i)  # without an end
    next(results)
    results.close()
    assert not threads()
