"""The loop: resuming bit for bit, signals, validations, what it writes, what it compiles."""

from __future__ import annotations

import os
import signal

import jax
import numpy as np
import pytest

from tests.training.stubs import Walk, fitting, make_task, max_difference
from wave_jax.errors import Interrupted, UserError
from wave_jax.runs.checkpoint_files import finished_steps
from wave_jax.runs.checkpoints import restore_params
from wave_jax.runs.metrics_log import read_rows

TIMES = ("examples_per_s",)  # fields that no two runs share


class Disturbed(Walk):
    """Does something just before the batch of a step is taken."""

    def __init__(self, task, at, action):
        super().__init__(task.batches, task.total_steps)
        self._at, self._action = at, action

    def __next__(self):
        batch = super().__next__()
        if self._step == self._at:
            self._action()
        return batch


def run(folder, task, **options):
    folder.mkdir(exist_ok=True)
    with fitting(folder, task, **options) as fit:
        fit.run()
        return fit


def interrupted(folder, task, number, **options):
    folder.mkdir(exist_ok=True)
    with fitting(folder, task, **options) as fit, pytest.raises(Interrupted) as caught:
        fit.run()
    assert caught.value.code == 128 + number
    step = fit.position.step  # where it stopped, not where the last checkpoint was due
    assert finished_steps(folder / "checkpoints")[-1:] == ([step] if step else [])
    return fit


def assert_same(one, two, folder_one, folder_two):
    """Everything that a run leaves is equal, bit for bit, but for the times."""
    jax.tree.map(np.testing.assert_array_equal, one.state, two.state)
    a, b = vars(one.position).copy(), vars(two.position).copy()
    for name in ("elapsed", "window"):
        assert a.pop(name) > 0
        b.pop(name)
    assert a == b
    rows = [
        [{k: v for k, v in row.items() if k not in TIMES} for row in read_rows(folder)]
        for folder in (folder_one, folder_two)
    ]
    assert rows[0] == rows[1]


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A run that nothing disturbed."""
    folder = tmp_path_factory.mktemp("whole")
    return run(folder, make_task()), folder


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("step", [3, 6, 9])
def test_interrupted_and_resumed_is_the_same_bit_for_bit(tmp_path, whole, number, step):
    task = make_task()

    def stop():
        os.kill(os.getpid(), number)

    fit = interrupted(tmp_path, task, number, make_iterator=lambda: Disturbed(task, step, stop))
    # the batch is fetched a little ahead of the step that takes it
    assert 0 <= fit.position.step <= step
    again = run(tmp_path, make_task())
    assert again.position.step == 18
    assert_same(whole[0], again, whole[1], tmp_path)


def test_stretches_give_the_numbers_of_steps(tmp_path, whole):
    """Two steps a dispatch, but where a row of metrics, a validation or a checkpoint is due."""
    task = make_task(dispatch="scan", scan_steps=2)
    scanned = run(tmp_path / "whole", task)
    assert {len(shape) for shape in scanned.programs} == {3, 4}
    # another padding of some batches, so other rounding, over 18 steps of 1e-2
    assert max_difference(scanned.state.params, whole[0].state.params) < 1e-4
    for row, expected in zip(read_rows(tmp_path / "whole"), read_rows(whole[1]), strict=True):
        assert row["step"] == expected["step"]
        assert row["split"] == expected["split"]
        assert row["loss"] == pytest.approx(expected["loss"], rel=1e-4)

    def stop():
        os.kill(os.getpid(), signal.SIGTERM)

    folder = tmp_path / "again"
    interrupted(folder, task, signal.SIGTERM, make_iterator=lambda: Disturbed(task, 9, stop))
    again = run(folder, make_task(dispatch="scan", scan_steps=2))
    assert_same(scanned, again, tmp_path / "whole", folder)


def test_stopped_by_an_error_it_goes_on_from_the_last_checkpoint(tmp_path, whole):
    task = make_task()

    def fail():
        raise OSError("disk on fire")

    with pytest.raises(OSError, match="on fire"):
        run(tmp_path, task, make_iterator=lambda: Disturbed(task, 16, fail))
    again = run(tmp_path, make_task())
    assert_same(whole[0], again, whole[1], tmp_path)


def test_interrupted_during_validation(tmp_path, whole, monkeypatch):
    task = make_task()
    texts, asked = task.validation, []
    original = texts.batch

    def batch(index):
        asked.append(index)
        if len(asked) == 5:  # after templates, in the second epoch's validation
            os.kill(os.getpid(), signal.SIGTERM)
        return original(index)

    monkeypatch.setattr(texts, "batch", batch)
    fit = interrupted(tmp_path, task, signal.SIGTERM)
    assert fit.position.step in (6, 12)
    assert fit.position.validated < fit.position.step
    again = run(tmp_path, make_task())
    assert_same(whole[0], again, whole[1], tmp_path)


def test_a_finished_training_is_not_gone_on_with(whole):
    _, folder = whole
    before = read_rows(folder)
    again = run(folder, make_task())
    assert again.position.step == 18
    assert read_rows(folder) == before


def test_rows_of_metrics(whole):
    _, folder = whole
    rows = read_rows(folder)
    train = [row for row in rows if row["split"] == "train"]
    assert [row["step"] for row in train] == [4, 8, 12, 16, 18]
    fields = {"step", "epoch", "split", "loss", "accuracy", "learning_rate", "grad_norm"}
    assert set(train[0]) == fields | {"examples_per_s"}
    validation = [row for row in rows if row["split"] == "validation"]
    assert [(row["step"], row["epoch"]) for row in validation] == [(6, 1.0), (12, 2.0), (18, 3.0)]


def test_nothing_compiles_after_the_first_step(tmp_path):
    task = make_task()
    compiled, at = [], []
    jax.monitoring.register_event_duration_secs_listener(
        lambda name, seconds, **_: compiled.append(name) if "backend_compile" in name else None
    )
    # the batch of the fourth step; the first validation, hook and checkpoint come later
    walk = Disturbed(task, 4, lambda: at.append(len(compiled)))
    try:
        run(tmp_path, task, make_iterator=lambda: walk)
    finally:
        jax.monitoring.clear_event_listeners()
    assert compiled
    assert compiled[at[0] :] == []


def test_the_best_checkpoint_is_kept(tmp_path):
    task = make_task(keep=1, checkpoint_every=4)
    fit = run(tmp_path, task)
    best = fit.position.best_step
    validation = [row for row in read_rows(tmp_path) if row["split"] == "validation"]
    accuracies = [row["accuracy"] for row in validation]
    assert best == validation[int(np.argmax(accuracies))]["step"]  # of equals the earliest
    kept = {int(path.name) for path in (tmp_path / "checkpoints").iterdir()}
    assert kept == {best, 18}
    params, meta = restore_params(tmp_path, "best")
    assert meta["position"]["step"] == best
    result = fit.evaluator(jax.device_put(params), task.validation)
    assert result.accuracy == max(accuracies)


def test_early_stopping(tmp_path):
    task = make_task(early_stopping=2, eval_every=1)
    fit = run(tmp_path, task)
    validation = [row for row in read_rows(tmp_path) if row["split"] == "validation"]
    best = int(np.argmax([row["accuracy"] for row in validation]))
    assert fit.position.without_better == 2
    assert fit.position.step == len(validation) == best + 3 < 18
    assert run(tmp_path, task).position.step == best + 3


def test_numbers_that_are_not_finite_stop_the_run(tmp_path):
    task = make_task(checkpoint_every=5)
    original = task.batches.batch

    def batch(step):
        made = original(step)
        weights = np.full_like(made.weights, np.inf) if step == 8 else made.weights
        return made._replace(weights=weights)

    task.batches.batch = batch
    with pytest.raises(UserError, match=r"not finite at step 9, in .*step 6 is kept"):
        run(tmp_path, task)
    assert restore_params(tmp_path, "last")[1]["position"]["step"] == 6


def test_hooks_see_settled_parameters_and_write_rows(tmp_path):
    class Hook:
        every = 5

        def __init__(self):
            self.steps = []

        def __call__(self, step, params):
            self.steps.append(step)
            return {"norm": float(np.abs(params["embed"]["embedding"]).sum())}

    hook = Hook()
    run(tmp_path, make_task(), hooks=(hook,))
    assert hook.steps == [5, 10, 15]
    rows = [row for row in read_rows(tmp_path) if row["split"] == "probe"]
    assert [row["step"] for row in rows] == [5, 10, 15]
    assert all(row["norm"] > 0 for row in rows)


def test_handlers_of_signals_are_put_back(tmp_path):
    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    with fitting(tmp_path, make_task()):
        assert signal.getsignal(signal.SIGINT) != before[0]
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == before
