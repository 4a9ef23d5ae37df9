"""Batches against a slow oracle that goes token by token."""

import threading

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wave_jax.data.batches import BatchBuilder, EvalBatches, TrainBatches
from wave_jax.data.shapes import Shapes
from wave_jax.data.tokenizer import Tokens
from wave_jax.errors import UserError

ROWS = 384  # of the table
VOCAB = 300


def make_tokens(count, seed=0, longest=30, vocab=VOCAB):
    generator = np.random.default_rng(seed)
    lengths = generator.integers(2, longest + 1, count)
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    ids = (vocab * generator.random(offsets[-1]) ** 2).astype(np.int32)
    return Tokens(ids, offsets, cut=0)


def make_labels(count):
    return np.arange(count, dtype=np.int32) % 5


def every(batches):
    return [batches.batch(index) for index in range(len(batches))]


def check_batch(batch, tokens, labels, examples, rows):
    """Compares a batch of a single process with the texts it must hold."""
    b, length = batch.mask.shape
    assert b == rows
    dtypes = [leaf.dtype for leaf in batch]
    assert dtypes == [np.int32, np.int32, bool, np.int32, np.float32]
    texts = [tokens[int(i)].tolist() for i in examples]
    known = sorted({token for text in texts for token in text})
    padding = range(ROWS, ROWS + len(batch.distinct) - len(known))
    assert batch.distinct.tolist() == [*known, *padding]
    for row in range(b):
        ids = batch.distinct[batch.inverse[row]]
        if row < len(texts):
            assert ids[batch.mask[row]].tolist() == texts[row]
            assert batch.mask[row].tolist() == [j < len(texts[row]) for j in range(length)]
            assert batch.labels[row] == (0 if labels is None else labels[examples[row]])
            assert batch.weights[row] == 1
        else:
            assert batch.mask[row].tolist() == [j == 0 for j in range(length)]
            assert batch.weights[row] == 0
            assert batch.labels[row] == 0
        assert not batch.inverse[row][~batch.mask[row]].any()


@settings(max_examples=40, deadline=None)
@given(
    count=st.integers(1, 70),
    batch_size=st.integers(1, 20),
    seed=st.integers(0, 5),
    multiple=st.sampled_from([1, 3, 8]),
)
def test_training_batches_hold_their_texts_and_an_epoch_holds_all(
    count, batch_size, seed, multiple
):
    tokens, labels = make_tokens(count, seed), make_labels(count)
    batches = TrainBatches(
        tokens,
        labels,
        batch_size=batch_size,
        seed=seed,
        table_rows=ROWS,
        mesh_multiple=multiple,
    )
    assert len(batches) == -(-count // batch_size)
    assert batches.rows % multiple == 0
    assert batches.rows - batch_size < multiple
    for epoch in (0, 3):
        seen = []
        for index in range(len(batches)):
            step = epoch * len(batches) + index
            batch, examples = batches.batch(step), batches.examples(step)
            check_batch(batch, tokens, labels, examples, batches.rows)
            assert len(examples) == batch_size or index == len(batches) - 1
            assert (batch.mask.shape[1], len(batch.distinct)) in batches.shapes.chain
            assert len(batch.distinct) % multiple == 0
            seen += examples.tolist()
        assert sorted(seen) == list(range(count))


@pytest.mark.parametrize("batch_size", [1, 7, 64, 300])
def test_evaluation_sees_every_text_once_shortest_first(batch_size):
    tokens, labels = make_tokens(200), make_labels(200)
    batches = EvalBatches(tokens, labels, batch_size=batch_size, table_rows=ROWS)
    assert sorted(batches.order.tolist()) == list(range(200))
    assert (np.diff(tokens.lengths[batches.order]) >= 0).all()
    made = every(batches)
    for index, batch in enumerate(made):
        examples = batches.order[index * batch_size : (index + 1) * batch_size]
        check_batch(batch, tokens, labels, examples, batch_size)
        assert (batch.mask.shape[1], len(batch.distinct)) in batches.shapes.chain
    assert sum(batch.weights.sum() for batch in made) == 200
    assert len(batches.shapes.chain) <= 4


def test_prediction_needs_no_labels_and_keeps_its_shapes(monkeypatch):
    nothing = EvalBatches(make_tokens(0), None, batch_size=8, table_rows=ROWS)
    assert every(nothing) == []
    monkeypatch.delattr(BatchBuilder, "_sizes")  # a stream is not gone through twice
    shapes = Shapes.geometric(8, 30, ROWS)
    for chunk in range(5):
        tokens = make_tokens(50, seed=chunk)
        batches = EvalBatches(tokens, None, batch_size=8, table_rows=ROWS, shapes=shapes)
        assert batches.shapes is shapes
        for index, batch in enumerate(every(batches)):
            check_batch(batch, tokens, None, batches.examples(index), 8)


def test_shapes_of_another_split_are_extended_only_as_far_as_needed():
    small = EvalBatches(make_tokens(50, longest=9), None, batch_size=8, table_rows=ROWS)
    large = EvalBatches(
        make_tokens(90, longest=40), None, batch_size=8, table_rows=ROWS, shapes=small.shapes
    )
    assert large.shapes.chain[:-1] == small.shapes.chain
    assert large.shapes.chain[-1][0] == 40
    every(large)
    again = EvalBatches(
        make_tokens(50, longest=9), None, batch_size=8, table_rows=ROWS, shapes=large.shapes
    )
    assert again.shapes is large.shapes


def test_order_depends_on_seed_and_epoch_alone():
    tokens, labels = make_tokens(500), make_labels(500)

    def order(seed, epoch, steps=None):
        batches = TrainBatches(tokens, labels, batch_size=16, seed=seed, table_rows=ROWS)
        steps = steps if steps is not None else range(len(batches))
        found = {i: batches.examples(epoch * len(batches) + i).tolist() for i in steps}
        return [found[i] for i in sorted(found)]

    assert order(0, 2) == order(0, 2)
    assert order(0, 2) == order(0, 2, steps=reversed(range(32)))  # random access
    assert order(0, 2) != order(0, 1)
    assert order(0, 2) != order(1, 2)


def test_batches_hold_texts_of_about_one_length_in_random_order():
    tokens, labels = make_tokens(6400, longest=60), make_labels(6400)
    batches = TrainBatches(tokens, labels, batch_size=16, seed=0, table_rows=ROWS)
    lengths = [tokens.lengths[batches.examples(step)] for step in range(400)]
    # uniform lengths 2 ... 60 cut into 50 runs: 1.2 apart in a batch, 17 over all
    assert np.mean([values.std() for values in lengths]) < 1.5
    means = np.array([values.mean() for values in lengths])
    assert abs(np.corrcoef(means[:-1], means[1:])[0, 1]) < 0.2  # 4 standard errors of 400


def test_padding_is_small_and_the_shapes_are_few():
    tokens, labels = make_tokens(8000, longest=60, vocab=3000), make_labels(8000)
    batches = TrainBatches(tokens, labels, batch_size=64, seed=0, table_rows=3072)
    used = [(batches.batch(step).distinct < 3072).sum() for step in range(125)]
    padded = [len(batches.batch(step).distinct) for step in range(125)]
    assert len(batches.shapes.chain) <= 7
    # 400 ... 1,850 distinct ids, evenly spread, in six pairs: half of 240 too many, a tenth, and
    # half of that again for rounding up to 128
    assert np.mean(padded) < 1.16 * np.mean(used)
    assert batches.shapes.chain[-1] == (64, 3072)  # whatever may come
    assert max(used) <= batches.shapes.chain[-2][1] < 1.15 * max(used)


@pytest.mark.parametrize("processes", [2, 4])
@pytest.mark.parametrize("multiple", [1, 8])
def test_shares_of_the_processes_add_up(processes, multiple):
    tokens, labels = make_tokens(90), make_labels(90)
    options = {"batch_size": 20, "table_rows": ROWS, "mesh_multiple": multiple}
    dropping = {"seed": 3, "word_dropout": 0.3}
    for kind, extra in ((TrainBatches, {"seed": 3}), (TrainBatches, dropping), (EvalBatches, {})):
        whole = kind(tokens, labels, **options, **extra)
        shares = [
            kind(tokens, labels, process_index=i, process_count=processes, **options, **extra)
            for i in range(processes)
        ]
        for step in range(len(whole)):
            expected = whole.batch(step)
            parts = [share.batch(step) for share in shares]
            for part in parts:
                np.testing.assert_array_equal(part.distinct, expected.distinct)
            for field in ("inverse", "mask", "labels", "weights"):
                joined = np.concatenate([getattr(part, field) for part in parts])
                np.testing.assert_array_equal(joined, getattr(expected, field))


def test_dropped_words_are_no_distinct_ids_and_the_rest_stays_in_place():
    tokens, labels = make_tokens(200), make_labels(200)
    options = {"batch_size": 16, "seed": 1, "table_rows": ROWS}
    whole = TrainBatches(tokens, labels, **options)
    dropped = TrainBatches(tokens, labels, word_dropout=0.4, **options)
    shares = []
    for step in range(len(whole)):
        batch, full = dropped.batch(step), whole.batch(step)
        length = min(batch.mask.shape[1], full.mask.shape[1])
        mask, all_words = batch.mask[:, :length], full.mask[:, :length]
        assert not mask[~all_words].any()
        assert mask[:, 0].all()  # [CLS]
        ids, all_ids = batch.distinct[batch.inverse], full.distinct[full.inverse]
        assert (ids[:, :length][mask] == all_ids[:, :length][mask]).all()
        assert not batch.inverse[~batch.mask].any()
        kept = np.unique(ids[batch.mask])
        assert batch.distinct[: len(kept)].tolist() == kept.tolist()
        assert batch.distinct[len(kept)] >= ROWS
        shares.append(mask[:, 1:].sum() / all_words[:, 1:].sum())
    assert abs(np.mean(shares) - 0.6) < 0.04  # 4 standard errors of 3,000 words
    again = TrainBatches(tokens, labels, word_dropout=0.4, **options)
    np.testing.assert_array_equal(again.batch(3).mask, dropped.batch(3).mask)
    epoch = len(whole)
    assert not np.array_equal(dropped.batch(3 + epoch).distinct, dropped.batch(3).distinct)


def test_many_threads_get_what_one_gets():
    tokens, labels = make_tokens(300), make_labels(300)
    batches = TrainBatches(tokens, labels, batch_size=16, seed=0, table_rows=ROWS)
    expected = [batches.batch(step) for step in range(2 * len(batches))]
    wrong = []

    def work(offset):
        for i in range(400):
            step = (7 * i + offset) % len(expected)
            for a, b in zip(batches.batch(step), expected[step], strict=True):
                if not np.array_equal(a, b):
                    wrong.append(step)

    threads = [threading.Thread(target=work, args=(i,)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_sizes_that_do_not_fit_are_refused():
    tokens, labels = make_tokens(10), make_labels(10)

    def train(**options):
        given = {"batch_size": 4, "seed": 0, "table_rows": ROWS} | options
        return TrainBatches(tokens, labels, **given)

    with pytest.raises(UserError, match="batch size 4 cannot be divided among 3 processes"):
        train(process_count=3)
    with pytest.raises(UserError, match="beyond the embedding table of 128 rows"):
        train(table_rows=128)
    with pytest.raises(UserError, match="seed must not be negative"):
        train(seed=-1)
