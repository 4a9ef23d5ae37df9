"""The trainer: resuming bit for bit, signals, validations, what it writes, what it compiles."""

from __future__ import annotations

import os
import signal

import jax
import numpy as np
import pytest

from tests.training.small import make_task, run, trainer_in
from wave_jax.errors import Interrupted
from wave_jax.runs.checkpoints import finished_steps, restore_params
from wave_jax.runs.metrics_log import read_rows
from wave_jax.training.metrics import NonFiniteError

TIMES = ("examples_per_s",)  # fields that no two runs share


def interrupted(folder, task, number):
    with trainer_in(folder, task) as trainer, pytest.raises(Interrupted) as caught:
        trainer.run()
    assert caught.value.code == 128 + number
    step = trainer.progress.step  # where it stopped, not where the last checkpoint was due
    assert finished_steps(folder / "checkpoints")[-1:] == ([step] if step else [])
    return trainer


def assert_same(one, two, folder_one, folder_two):
    """Everything that a run leaves is equal, bit for bit, but for the times."""
    jax.tree.map(np.testing.assert_array_equal, one.state, two.state)
    a, b = vars(one.progress).copy(), vars(two.progress).copy()
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
    task = make_task(before={step - 1: lambda: os.kill(os.getpid(), number)})
    trainer = interrupted(tmp_path, task, number)
    # the batch is made a little ahead of the step that takes it
    assert 0 <= trainer.progress.step <= step
    again = run(tmp_path, make_task())
    assert again.progress.step == 18
    assert_same(whole[0], again, whole[1], tmp_path)


def test_stopped_by_an_error_it_resumes_from_the_last_checkpoint(tmp_path, whole):
    def fail():
        raise OSError("disk on fire")

    with pytest.raises(OSError, match="on fire"):
        run(tmp_path, make_task(before={15: fail}))
    again = run(tmp_path, make_task())
    assert_same(whole[0], again, whole[1], tmp_path)


def test_interrupted_during_validation(tmp_path, whole, monkeypatch):
    task = make_task()
    original, asked = task.validation.batch, []

    def batch(index):
        asked.append(index)
        if len(asked) == 5:  # after templates, in the second epoch's validation
            os.kill(os.getpid(), signal.SIGTERM)
        return original(index)

    monkeypatch.setattr(task.validation, "batch", batch)
    trainer = interrupted(tmp_path, task, signal.SIGTERM)
    assert trainer.progress.step in (6, 12)
    assert trainer.progress.validated < trainer.progress.step
    again = run(tmp_path, make_task())
    assert_same(whole[0], again, whole[1], tmp_path)


def test_a_finished_training_makes_no_further_step(whole):
    _, folder = whole
    before = read_rows(folder)
    again = run(folder, make_task())
    assert again.progress.step == 18
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
    compiled, at = [], []
    # the batch of the fourth step; the first validation, callback and checkpoint come later
    task = make_task(before={3: lambda: at.append(len(compiled))})
    jax.monitoring.register_event_duration_secs_listener(
        lambda name, seconds, **_: compiled.append(name) if "backend_compile" in name else None
    )
    try:
        run(tmp_path, task)
    finally:
        jax.monitoring.clear_event_listeners()
    assert compiled
    assert compiled[at[0] :] == []


def test_the_best_checkpoint_is_kept(tmp_path):
    task = make_task(keep=1, checkpoint_every=4)
    trainer = run(tmp_path, task)
    best = trainer.progress.best_step
    validation = [row for row in read_rows(tmp_path) if row["split"] == "validation"]
    accuracies = [row["accuracy"] for row in validation]
    assert best == validation[int(np.argmax(accuracies))]["step"]  # of equals the earliest
    kept = {int(path.name) for path in (tmp_path / "checkpoints").iterdir()}
    assert kept == {best, 18}
    params, meta = restore_params(tmp_path, "best")
    assert meta["position"]["step"] == best
    result = trainer.evaluator(jax.device_put(params), task.validation)
    assert result.accuracy == max(accuracies)


def test_early_stopping(tmp_path):
    task = make_task(early_stopping=2, eval_every=1)
    trainer = run(tmp_path, task)
    validation = [row for row in read_rows(tmp_path) if row["split"] == "validation"]
    best = int(np.argmax([row["accuracy"] for row in validation]))
    assert trainer.progress.without_better == 2
    assert trainer.progress.step == len(validation) == best + 3 < 18
    assert run(tmp_path, task).progress.step == best + 3


@pytest.mark.parametrize(("select_by", "sign"), [("macro-f1", 1), ("loss", -1)])
def test_another_figure_chooses_the_best(tmp_path, select_by, sign):
    task = make_task(select_by=select_by, eval_every=2)
    trainer = run(tmp_path, task)
    validation = [row for row in read_rows(tmp_path) if row["split"] == "validation"]
    scores = [sign * row[select_by.replace("-", "_")] for row in validation]
    best = validation[int(np.argmax(scores))]
    assert trainer.progress.best_step == best["step"]
    assert trainer.progress.best_accuracy == best["accuracy"]
    assert trainer.progress.best_score == max(scores)
    assert restore_params(tmp_path, "best")[1]["position"]["step"] == best["step"]


def test_callbacks_see_current_parameters_and_write_rows(tmp_path):
    class Norm:
        every = 5

        def __init__(self):
            self.steps = []

        def __call__(self, step, params):
            self.steps.append(step)
            return {"norm": float(np.abs(params["embed"]["embedding"]).sum())}

    callback = Norm()
    run(tmp_path, make_task(), callbacks=(callback,))
    assert callback.steps == [5, 10, 15]
    rows = [row for row in read_rows(tmp_path) if row["split"] == "probe"]
    assert [row["step"] for row in rows] == [5, 10, 15]
    assert all(row["norm"] > 0 for row in rows)


def test_signal_handlers_are_restored(tmp_path):
    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    with trainer_in(tmp_path, make_task()):
        assert signal.getsignal(signal.SIGINT) != before[0]
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == before


def poisoned(task, *steps):
    """The task, the weights of whose batches are infinite at some steps."""
    original = task.batches.batch

    def batch(step):
        made = original(step)
        return made._replace(weights=np.full_like(made.weights, np.inf)) if step in steps else made

    task.batches.batch = batch
    return task


def test_a_nonfinite_gradient_stops_training_and_the_last_checkpoint_stands(tmp_path):
    task = poisoned(make_task(checkpoint_every=5), 8)
    with pytest.raises(
        NonFiniteError, match=r"not finite at step 9, in .*step 6 is kept"
    ) as caught:
        run(tmp_path, task)
    # an infinite weight reaches every parameter's gradient
    assert caught.value.groups == ("classifier", "embed", "layer_0")
    assert (caught.value.step, caught.value.saved) == (8, 6)
    assert restore_params(tmp_path, "last")[1]["position"]["step"] == 6
