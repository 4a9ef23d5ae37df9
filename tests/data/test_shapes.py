"""The chain of padded shapes against an exhaustive search."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wave_jax.data.shapes import Shapes

sizes = st.lists(st.tuples(st.integers(1, 40), st.integers(1, 640)), min_size=1, max_size=12)


def padded_cost(chain, samples, length_cost):
    total = 0.0
    for length, distinct in samples:
        fitting = [pair for pair in chain if length <= pair[0] and distinct <= pair[1]]
        total += fitting[0][1] + length_cost * fitting[0][0]
    return total


def best_cost(samples, pairs, length_cost):
    """Tries every chain over the rounded sizes."""
    lengths = sorted({-(-length // 8) * 8 for length, _ in samples})
    counts = sorted({-(-distinct // 128) * 128 for _, distinct in samples})
    grid = list(itertools.product(lengths, counts))
    best = np.inf
    for size in range(1, pairs + 1):
        for chain in itertools.combinations(grid, size):
            grows = all(a[1] <= b[1] for a, b in itertools.pairwise(chain))
            if grows and chain[-1] == grid[-1]:
                best = min(best, padded_cost(chain, samples, length_cost))
    return best


@settings(max_examples=100, deadline=None)
@given(samples=sizes, pairs=st.integers(1, 3), length_cost=st.sampled_from([0.0, 0.32, 16.0]))
def test_the_chain_is_the_cheapest(samples, pairs, length_cost):
    lengths, distinct = np.array(samples).T
    shapes = Shapes.fitted(lengths, distinct, max_pairs=pairs, length_cost=length_cost)
    assert len(shapes.chain) <= pairs
    found = padded_cost(shapes.chain, samples, length_cost)
    # a shorter chain may cost half a percent more
    assert found <= 1.0051 * best_cost(samples, pairs, length_cost)


@settings(max_examples=100, deadline=None)
@given(
    samples=sizes,
    pairs=st.integers(1, 7),
    multiple=st.sampled_from([128, 384]),
    room=st.tuples(st.integers(0, 50), st.integers(0, 10_000)),
)
def test_the_chain_holds_whatever_can_occur(samples, pairs, multiple, room):
    lengths, distinct = np.array(samples).T
    bound = (int(lengths.max()) + room[0], int(distinct.max()) + room[1])
    shapes = Shapes.fitted(
        lengths, distinct, max_pairs=pairs, length_cost=0.32, bound=bound, multiple=multiple
    )
    assert len(shapes.chain) <= max(2, pairs)
    assert all(length % 8 == 0 and width % multiple == 0 for length, width in shapes.chain)
    assert shapes.pick(*bound) == shapes.chain[-1]
    for length, width in samples:
        pair = shapes.pick(length, width)
        assert pair[0] >= length
        assert pair[1] >= width


@pytest.mark.parametrize("max_length", [3, 16, 30, 128, 500, 512])
@pytest.mark.parametrize("rows", [1, 8, 100, 256])
def test_the_geometric_chain_holds_every_batch(rows, max_length):
    shapes = Shapes.geometric(rows, max_length, 30_592)
    assert shapes.pick(max_length, min(rows * max_length, 30_592)) in shapes.chain
    assert len(shapes.chain) <= 12
    length, width = shapes.chain[-1]
    assert length < max_length + 8
    assert width < min(rows * length, 30_592) + 128


def test_many_different_sizes_are_thinned_out():
    generator = np.random.default_rng(0)
    lengths = generator.integers(10, 512, 3000)
    distinct = lengths * 10 + generator.integers(0, 3000, 3000)
    shapes = Shapes.fitted(lengths, distinct, max_pairs=6, length_cost=1.28)
    pairs = zip(lengths.tolist(), distinct.tolist(), strict=True)
    padded = np.mean([shapes.pick(*pair)[1] for pair in pairs])
    assert padded < 1.2 * distinct.mean()  # evenly spread sizes, 6 pairs: about half of 1/6 more


def test_batches_beyond_the_chain_are_refused():
    shapes = Shapes(((8, 128), (16, 256)))
    with pytest.raises(ValueError, match="larger than the largest shape"):
        shapes.pick(17, 1)
    assert shapes.holding(16, 256) is shapes
    assert shapes.holding(17, 10).chain[-1] == (24, 256)
