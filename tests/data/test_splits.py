"""The cut into parts."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wave_jax.data.rows import Rows
from wave_jax.data.splits import Splits, cut
from wave_jax.errors import UserError


def parts(count, test=None):
    texts = [f"text {i}" for i in range(count)]
    rows = Rows(texts, ["a", "b"] * (count // 2) + ["a"] * (count % 2), "f.csv")
    return Splits("f", "f", rows, test=test)


@settings(deadline=None, database=None, max_examples=60)
@given(
    count=st.integers(3, 300),
    validation=st.floats(0.01, 0.99),
    test=st.floats(0.01, 0.99),
    seed=st.integers(0, 2**32),
)
def test_parts_are_disjoint_complete_in_order_and_repeatable(count, validation, test, seed):
    try:
        done = cut(parts(count), validation_fraction=validation, test_fraction=test, seed=seed)
    except UserError:  # the test took all but one row
        assert count - min(max(round(test * count), 1), count - 1) < 2
        return
    found = [done.train, done.validation, done.test]
    numbers = [[int(text.split()[1]) for text in rows.texts] for rows in found]
    assert all(part == sorted(part) and part for part in numbers)
    assert sorted(itertools.chain(*numbers)) == list(range(count))
    again = cut(parts(count), validation_fraction=validation, test_fraction=test, seed=seed)
    assert again == done


def test_sizes_and_labels_follow():
    done = cut(parts(1000), validation_fraction=0.2, test_fraction=0.1, seed=3)
    assert done.validation is not None
    assert done.test is not None
    assert (len(done.train), len(done.validation), len(done.test)) == (720, 180, 100)
    for rows in (done.train, done.validation, done.test):
        expected = ["ab"[int(text.split()[1]) % 2] for text in rows.texts]
        assert rows.labels == expected


def test_a_given_test_part_is_left_alone_and_the_seed_matters():
    given_test = Rows(["t"], ["a"], "t.csv")
    one = cut(parts(100, given_test), validation_fraction=0.2, test_fraction=0.5, seed=0)
    other = cut(parts(100, given_test), validation_fraction=0.2, test_fraction=0.5, seed=1)
    assert one.test is given_test
    assert len(one.train) == 80
    assert one.train.texts != other.train.texts


def test_the_cut_is_the_same_on_every_machine():
    """NumPy's stream for a seed; were it to change, texts would move between parts."""
    done = cut(parts(10), validation_fraction=0.2, test_fraction=0.2, seed=0)
    order = np.random.default_rng((0, 1)).permutation(10)
    assert done.test is not None
    assert done.test.texts == [f"text {i}" for i in sorted(order[:2])]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"validation_fraction": 0.0}, r"--data\.validation-fraction is 0\.0"),
        ({"test_fraction": 1.0}, r"--data\.test-fraction is 1\.0"),
        ({"test_fraction": float("nan")}, r"--data\.test-fraction is nan"),
        ({"seed": -1}, r"--data\.split-seed is -1"),
    ],
)
def test_fractions_and_seed_are_checked(options, message):
    usual = {"validation_fraction": 0.2, "test_fraction": 0.2, "seed": 0}
    with pytest.raises(UserError, match=message):
        cut(parts(10), **(usual | options))


def test_too_few_rows():
    with pytest.raises(UserError, match=r"f\.csv has too few rows"):
        cut(parts(2), validation_fraction=0.2, test_fraction=0.2, seed=0)
