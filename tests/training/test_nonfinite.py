"""Numbers that are not finite: the run stops or skips, says where, and the step can be replayed."""

from __future__ import annotations

import numpy as np
import pytest
from tests.training.test_fit import run
from wave_jax.training.nonfinite import NotFinite, load_batch, save_batch, saved_failures

from tests.training.stubs import Batch, fitting, make_task
from wave_jax.errors import UserError
from wave_jax.runs.metrics_log import read_rows


def poisoned(task, *steps):
    """The task, the weights of whose batches are infinite at some steps."""
    original = task.batches.batch

    def batch(step):
        made = original(step)
        weights = np.full_like(made.weights, np.inf) if step in steps else made.weights
        return made._replace(weights=weights)

    task.batches.batch = batch
    return task


def test_it_says_where_and_keeps_the_batch(tmp_path):
    task = poisoned(make_task(checkpoint_every=5), 8)
    with fitting(tmp_path, task) as fit, pytest.raises(NotFinite, match="step 9, in") as caught:
        fit.run()
    error = caught.value
    # an infinite weight reaches every parameter's gradient
    assert error.groups == ("classifier", "embed", "ffn_in", "ffn_out", "norm")
    assert (error.step, error.saved) == (8, 6)
    save_batch(tmp_path, task.batches, error, 0)
    (facts,) = saved_failures(tmp_path)
    assert (facts["step"], facts["saved"]) == (8, 6)
    kept = load_batch(tmp_path, 8, Batch)
    for one, two in zip(kept, task.batches.batch(8), strict=True):
        np.testing.assert_array_equal(one, two)
    with pytest.raises(UserError, match="no batch of step 3"):
        load_batch(tmp_path, 2, Batch)
    # nothing from a run's folder is unpickled
    np.savez(tmp_path / "nonfinite" / "batch-9-0.npz", distinct=np.array([{}], object))
    with pytest.raises(UserError, match=r"batch-9-0.npz is not the batch of a run: .*pickle"):
        load_batch(tmp_path, 8, Batch)


@pytest.mark.parametrize("table_optimizer", ["rows", "dense"])
def test_skipped_steps_change_nothing_but_the_count(tmp_path, table_optimizer):
    options = {"on_nonfinite": "skip", "table_optimizer": table_optimizer, "warmup_steps": 0}
    task = poisoned(make_task(1, **options), 5)
    fit = run(tmp_path / "skips", task)
    rows = [row for row in read_rows(tmp_path / "skips") if row["split"] == "train"]
    assert [row.get("skipped", 0) for row in rows] == [0, 1]
    assert all(np.isfinite(row["loss"]) for row in rows)
    # the last of six steps was skipped: what five steps made is what is left
    five = poisoned(make_task(1, **options), 5)
    with fitting(made(tmp_path / "five"), five) as shorter:
        shorter._compile()
        state, root = shorter.state, five.root_key()
        from wave_jax.training.compilation import shape_of
        from wave_jax.training.mesh import place

        for step in range(5):
            batch = place(five.batches.batch(step), five.mesh)
            state, _ = shorter.programs[shape_of(batch)](state, shorter._no_sums, root, batch)
    for name in ("params", "table", "opt_state"):
        want, got = getattr(state, name), getattr(fit.state, name)
        for a, b in zip(leaves(want), leaves(got), strict=True):
            np.testing.assert_array_equal(a, b)
    assert int(fit.state.step) == 6


def test_skipping_costs_an_undisturbed_run_nothing(tmp_path):
    plain = run(tmp_path / "plain", make_task(1))
    careful = run(tmp_path / "careful", make_task(1, on_nonfinite="skip"))
    # Another program, which a compiler may round differently, over 18 steps.
    for one, two in zip(leaves(plain.state), leaves(careful.state), strict=True):
        np.testing.assert_allclose(one, two, rtol=1e-4, atol=1e-6)
    assert careful.position.step == plain.position.step


def leaves(tree):
    import jax

    return jax.tree.leaves(tree)


def made(folder):
    folder.mkdir()
    return folder
