"""A training that meets numbers that are not finite, from the command line to its replay."""

from __future__ import annotations

import json

import numpy as np
import pytest

from tests.faults.runs import finish, steps_logged
from wave_jax.cli import main
from wave_jax.training.restoring import restore_params

# With this learning rate, and nothing that clips, parameters overflow within some tens of steps
WILD = ("--train.learning-rate", "1e12", "--train.clip-norm", "0", "--train.warmup-steps", "40")
WILD += ("--train.checkpoint-every", "1", "--train.log-every", "1", "--train.weight-decay", "0")


@pytest.mark.faults
def test_it_stops_names_the_step_and_repeats_it(place, tmp_path, capsys):
    workdir = tmp_path / "run"
    (done,) = finish([place.start(workdir, *WILD)])
    status, _, said = done
    assert status == 2, said
    line = said.splitlines()[-1]
    assert line.startswith("error: the loss or its gradient was not finite at step ")
    assert "replay" in line
    step = int(line.split("at step ")[1].split(",")[0])
    params, meta = restore_params(workdir, "last")
    assert meta["position"]["step"] < step
    assert all(np.isfinite(leaf).all() for leaf in params["classifier"].values())
    assert main(["replay", str(workdir), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["step"] == step
    assert any(group["bad_gradients"] for group in found["groups"]) or found["loss"] is None
    assert main(["replay", str(workdir)]) == 0
    assert f"step {step}, from the state of step" in capsys.readouterr().out
    (again,) = finish([place.start(workdir, *WILD)])  # started again it comes to the same step
    assert again[0] == 2
    assert f"at step {step}, in" in again[2]
    (done,) = finish([place.start(tmp_path / "skips", *WILD, "--train.on_nonfinite", "skip")])
    assert done[0] == 0, done[2]
    assert len(steps_logged(tmp_path / "skips")) == 32


@pytest.mark.faults
def test_a_run_without_failures_has_nothing_to_replay(place, tmp_path, capsys):
    workdir = tmp_path / "run"
    (done,) = finish([place.start(workdir, "--train.steps", "4")])
    assert done[0] == 0, done[2]
    assert main(["replay", str(workdir)]) == 2
    assert "no batch to replay" in capsys.readouterr().err
