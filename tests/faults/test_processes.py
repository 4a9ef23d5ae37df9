"""Several processes of one training: one result, one writer, one end."""

from __future__ import annotations

import dataclasses
import json
import signal
import socket
import time
from pathlib import Path

import numpy as np
import pytest

from tests.faults.runs import finish, free_port, leaves, resumed_at, steps_logged, wait_for
from wave_jax.runs.checkpoints import restore_params
from wave_jax.runs.metrics_log import read_rows

LONG = ("--train.epochs", "100", "--train.eval-every", "20", "--train.checkpoint-every", "20")


def parameters(workdir):
    return leaves(restore_params(workdir, "last")[0])


def assert_close(one, two):
    """The same numbers up to the order of sums, which AdamW can blow up where gradients vanish."""
    for a, b in zip(parameters(one), parameters(two), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)


@pytest.fixture(scope="module")
def alone(place):
    """One process with two devices."""
    workdir = place.folder / "alone"
    (done,) = finish([place.start(workdir, devices=2)])
    assert done[0] == 0, done[2]
    return workdir


def test_two_processes_give_the_result_of_one_with_two_devices(place, alone):
    workdir = place.folder / "two"
    (first, second) = finish(place.start_several(workdir))
    assert (first[0], second[0]) == (0, 0), first[2] + second[2]
    # only process 0 says and writes something
    assert "test accuracy" in first[1]
    assert "test accuracy" not in second[1]
    assert steps_logged(workdir) == steps_logged(alone) == list(range(4, 33, 4))
    for one, two in zip(read_rows(alone), read_rows(workdir), strict=True):
        assert two["loss"] == pytest.approx(one["loss"], rel=1e-5)  # sums in another order
        assert two["accuracy"] == one["accuracy"]
    assert_close(alone, workdir)
    said = json.loads((workdir / "environment.json").read_text())
    assert (said["processes"], said["device"]) == (2, "cpu x 2")
    assert {path.name for path in workdir.iterdir()} == {path.name for path in alone.iterdir()}


@pytest.mark.faults
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("victim", [0, 1])
def test_a_signal_to_one_stops_all_at_the_same_step(place, tmp_path, victim, number):
    started = place.start_several(tmp_path / "run", *LONG)
    wait_for(lambda: steps_logged(tmp_path / "run"))
    started[victim].send_signal(number)
    at = time.monotonic()
    done = finish(started)
    assert time.monotonic() - at < 10
    assert [status for status, _, _ in done] == [128 + number] * 2, done
    saved = restore_params(tmp_path / "run", "last")[1]["position"]["step"]
    assert 0 < saved < 800
    started = place.start_several(tmp_path / "run", *LONG)
    wait_for(lambda: steps_logged(tmp_path / "run")[-1] > saved)
    started[0].send_signal(number)
    again = finish(started)
    assert resumed_at(again[0][1]) == saved


@pytest.mark.faults
@pytest.mark.parametrize("victim", [0, 1])
def test_one_killed_stops_the_other_and_both_resume(place, tmp_path, victim):
    undisturbed, workdir = tmp_path / "undisturbed", tmp_path / "run"
    options = ("--train.epochs", "10", "--train.checkpoint-every", "8")
    assert [done[0] for done in finish(place.start_several(undisturbed, *options))] == [0, 0]
    started = place.start_several(workdir, *options)
    wait_for(lambda: len(steps_logged(workdir)) > 5)
    started[victim].kill()
    at = time.monotonic()
    done = finish(started)
    assert time.monotonic() - at < 60
    status, _, said = done[1 - victim]
    assert status == 1, said
    last = said.splitlines()[-1]
    assert last.startswith("error: ")
    assert "start all of them again with the same command" in last
    again = finish(place.start_several(workdir, *options))
    assert [one[0] for one in again] == [0, 0]
    assert resumed_at(again[0][1]) > 0
    for a, b in zip(parameters(undisturbed), parameters(workdir), strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.faults
@pytest.mark.parametrize("victim", [0, 1])
def test_one_that_falls_silent_stops_the_other(place, tmp_path, victim):
    """As a machine without power: the connection stands, nothing comes (here for 10 s)."""
    workdir = tmp_path / "run"
    started = place.start_several(workdir, *LONG)
    wait_for(lambda: len(steps_logged(workdir)) > 5)
    started[victim].send_signal(signal.SIGSTOP)
    at = time.monotonic()
    try:
        ((status, _, said),) = finish([started[1 - victim]])
        assert time.monotonic() - at < 60
    finally:
        started[victim].kill()
        started[victim].communicate()
    assert status == 1, said
    assert "start all of them again with the same command" in said.splitlines()[-1]


@pytest.mark.faults
@pytest.mark.parametrize(("before", "after"), [(2, 1), (1, 2)])
def test_another_number_of_processes_goes_on(place, alone, tmp_path, before, after):
    def start(count):
        if count == 1:
            return [place.start(workdir, devices=2)]
        return place.start_several(workdir, processes=count)

    workdir = tmp_path / "run"
    started = start(before)
    wait_for(lambda: len(steps_logged(workdir)) > 1)
    started[0].send_signal(signal.SIGTERM)
    assert [done[0] for done in finish(started)] == [143] * before
    again = finish(start(after))
    assert [done[0] for done in again] == [0] * after
    assert resumed_at(again[0][1]) > 0
    assert_close(alone, workdir)


@pytest.mark.faults
def test_what_process_0_refuses_all_refuse(place, alone):
    done = finish(place.start_several(alone, "--seed", "5"))
    assert [one[0] for one in done] == [2, 2]
    assert "another configuration" in done[0][2].splitlines()[-1]


@pytest.mark.faults
def test_a_mesh_that_would_cut_a_process_in_two_is_refused(place, tmp_path):
    done = finish(place.start_several(tmp_path / "run", "--mesh.model", "2"))
    assert [one[0] for one in done] == [2, 2]
    assert "does not divide the 1 devices of a process" in done[0][2].splitlines()[-1]


POISONED_STEP = 10  # counted from 0


def poisoned(place):
    """Trainings of two processes, of which the second meets a batch that is not finite."""
    script = Path(__file__).with_name("poisoned.py")
    return dataclasses.replace(place, program=(str(script), str(POISONED_STEP), "1"))


@pytest.mark.faults
def test_a_nonfinite_gradient_in_one_stops_all(place, tmp_path):
    workdir = tmp_path / "run"
    options = ("--train.checkpoint-every", "4", "--train.log-every", "4")
    done = finish(poisoned(place).start_several(workdir, *options), timeout=60)
    assert [status for status, _, _ in done] == [2, 2], done
    lines = [line for _, _, said in done for line in said.splitlines() if "error: " in line]
    assert len(lines) == 1, lines  # process 0 says it for all
    assert "not finite at step 11, in the gradient of classifier, embed, " in lines[0]
    assert "the checkpoint of step 8 is kept" in lines[0]
    assert not any("Traceback" in said for _, _, said in done)
    # each process kept its own rows
    kept = {path.name for path in (workdir / "nonfinite").iterdir()}
    assert kept == {"batch-11-0.npz", "batch-11-1.npz", "step-11.json"}
    assert restore_params(workdir, "last")[1]["position"]["step"] == 8
    facts = json.loads((workdir / "nonfinite" / "step-11.json").read_text())
    assert (facts["step"], facts["saved"]) == (10, 8)
    assert len(facts["texts"]) == 32  # of both processes
    for number, finite in enumerate((True, False)):
        with np.load(workdir / "nonfinite" / f"batch-11-{number}.npz") as batch:
            assert len(batch["weights"]) == 16
            assert np.isfinite(batch["weights"]).all() == finite
    # without the fault all resume from the checkpoint
    again = finish(place.start_several(workdir, *options))
    assert [one[0] for one in again] == [0, 0]
    assert resumed_at(again[0][1]) == 8
    assert steps_logged(workdir)[-1] == 32


@pytest.mark.faults
@pytest.mark.parametrize("number", [0, 1])
def test_where_not_all_are_started_one_line_says_so(place, tmp_path, number):
    shared = ("--distributed", "--distributed.coordinator", f"localhost:{free_port()}")
    counts = ("--distributed.processes", "2", "--distributed.process", str(number))
    (done,) = finish([place.start(tmp_path / "run", *shared, *counts, "--distributed.wait", "5")])
    status, _, said = done
    assert status == 2, said
    (line,) = said.splitlines()  # no stack trace before it
    assert line.startswith("error: --distributed: not all processes came at localhost:")
    assert not (tmp_path / "run").exists()


@pytest.mark.faults
def test_a_port_that_is_taken_is_one_line(place, tmp_path):
    with socket.create_server(("", 0)) as taken:
        port = taken.getsockname()[1]
        shared = ("--distributed.coordinator", f"localhost:{port}", "--distributed.wait", "5")
        counts = ("--distributed.processes", "2", "--distributed.process", "0")
        (done,) = finish([place.start(tmp_path / "run", *shared, *counts)])
    status, _, said = done
    assert status == 2, said
    (line,) = said.splitlines()
    assert f"cannot listen at port {port}: Address already in use" in line
