"""The benchmarks: contestants compute the same network, figures are what they are called."""

from __future__ import annotations

import json
import subprocess
import sys

import jax
import numpy as np
import pytest

from benchmarks.__main__ import BENCHMARKS, Options, main
from benchmarks.contestants.literal import LiteralWaves
from benchmarks.data import ids_and_mask
from benchmarks.parts import PARTS, _part
from benchmarks.report import Figure, Report, workers
from benchmarks.workers import NotInstalled, Worker, take_turns
from tests.training.small import Texts
from wave_jax.errors import UserError
from wave_jax.models import ModelConfig, build_model


class Missing:
    def __init__(self) -> None:
        raise NotInstalled("nothing to import")


def test_every_benchmark_is_listed_and_wrong_names_are_refused(capsys):
    assert main(Options(list=True)) == 0
    shown = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in shown] == list(BENCHMARKS)
    assert all(len(line.split()) > 4 for line in shown)
    with pytest.raises(UserError, match="did you mean"):
        main(Options(only=("stepp",)))


def test_contestants_take_turns_and_missing_ones_leave_a_note():
    report = Report()
    wanted = {"three quarters": ("fractions:Fraction", 3, 4), "gone": (f"{__name__}:Missing",)}
    with workers(report, wanted) as running:
        assert list(running) == ["three quarters"]
        worker = running["three quarters"]
        assert worker.ask("limit_denominator", 2) == 1
        assert worker.peak_bytes() > 1e6
        seconds = take_turns({"a": (worker, "conjugate", ()), "b": (worker, "conjugate", ())}, 3)
        assert {name: len(values) for name, values in seconds.items()} == {"a": 3, "b": 3}
        with pytest.raises(RuntimeError, match="no_such_method"):
            worker.ask("no_such_method")
    assert report.notes == ["nothing to import"]
    with pytest.raises(RuntimeError, match="ZeroDivisionError"):
        Worker("fractions:Fraction", 1, 0)


def test_figures_are_medians_with_quartiles():
    figure = Figure.of([5, 1, 2, 3, 4], "ms")
    assert (figure.low, figure.median, figure.high) == (2, 3, 4)
    report = Report({"a step": figure}, {"ratio": 2.0}, {"memory": 1.5}, ["noisy"])
    assert json.loads(json.dumps(report.to_json()))["figures"]["a step"]["median"] == 3
    assert len(list(report.lines())) == 4


def test_operations_go_to_the_first_part_that_names_them():
    names = {
        "jit(step)/jvp(W.logits_from_rows)/layer_0.project/variants/dot_general": "forward product",
        "jit(step)/transpose(jvp(W.logits_from_rows))/layer_0.project/dot_general": "backward prod",
        "jit(step)/update_rows/scatter": "AdamW and write",
        "jit(step)/jvp(W)/layer_0._drop/jit(_bernoulli)/while": "random numbers",
    }
    for name, part in names.items():
        assert part in _part(name)
    assert _part("copy.3") == "other"
    assert len({part for part, _ in PARTS}) == len(PARTS)


@pytest.fixture(scope="module")
def network():
    """A network of ours: ids, mask, parameters by name, logits."""
    model = build_model(
        ModelConfig(dim=16, ffn_dim=16), vocab_size=128, num_classes=3, max_length=12
    )
    ids, mask = ids_and_mask(Texts(6, 6).batch(0), 12)
    assert ids.shape == (6, 12)
    params = model.init(jax.random.key(0), ids, mask)["params"]
    rng = np.random.default_rng(1)
    params = jax.tree.map(
        lambda x: (np.asarray(x) + 0.3 * rng.standard_normal(x.shape)).astype(np.float32), params
    )
    layer = params["layer_0"]
    parts = {
        f"variant_{v}": jax.tree.map(lambda x, v=v: x[..., v, :], layer["variants"])
        for v in range(2)
    }
    parts |= {"embed": params["embed"], "classifier": params["classifier"], **layer}
    return ids, mask, parts, model.apply({"params": params}, ids, mask)


# 1e-8 under a root beside squares of about 1; the norm after it divides by its own 1e-6 more
CLOSE = {"rtol": 1e-3, "atol": 1e-3}


def test_the_literal_network_computes_what_ours_does(network):
    ids, mask, parts, expected = network
    names = {
        "Embed_0": "embed",
        "Dense_0": "variant_0",
        "Dense_1": "variant_1",
        "LayerNorm_0": "norm_in_0",
        "Dense_2": "ffn_in",
        "Dense_3": "ffn_out",
        "LayerNorm_1": "norm_out",
        "Dense_4": "classifier",
    }
    literal = {name: parts[ours] for name, ours in names.items()}
    found = LiteralWaves(128, 3, 16, 0.5).apply({"params": literal}, ids, mask)
    np.testing.assert_allclose(found, expected, **CLOSE)


def test_the_pytorch_network_computes_what_ours_does(network):
    torch = pytest.importorskip("torch")
    from benchmarks.contestants.torch_wave import WaveNetwork

    ids, mask, parts, expected = network
    plain = WaveNetwork(128, 3, 16, 0.5).eval()
    linear = {
        "first": "variant_0",
        "second": "variant_1",
        "feed_forward.0": "ffn_in",
        "feed_forward.3": "ffn_out",
        "classifier": "classifier",
    }
    state = {"embedding.weight": parts["embed"]["embedding"]}
    for name, ours in linear.items():
        state |= {f"{name}.weight": parts[ours]["kernel"].T, f"{name}.bias": parts[ours]["bias"]}
    for name, ours in {"norm_in": "norm_in_0", "norm_out": "norm_out"}.items():
        state |= {f"{name}.weight": parts[ours]["scale"], f"{name}.bias": parts[ours]["bias"]}
    plain.load_state_dict({name: torch.tensor(value) for name, value in state.items()})
    with torch.no_grad():
        found = plain(torch.tensor(ids).long(), torch.tensor(mask)).numpy()
    np.testing.assert_allclose(found, expected, **CLOSE)


@pytest.mark.slow
def test_the_command_runs_on_embedded_texts(tmp_path):
    out = tmp_path / "out.json"
    command = [sys.executable, "-m", "benchmarks", "--dim", "16", "--batch-size", "8"]
    names = [
        word for name in ("step", "parts", "prediction", "guards") for word in ("--only", name)
    ]
    subprocess.run([*command, *names, "--repeats", "1", "--json", str(out)], check=True)
    results = json.loads(out.read_text())
    assert results["step"]["ratios"]["literal complex JAX / ours"] > 0
    assert results["parts"]["facts"]["share of the recorded time that a named part has"] > 0.5
    guards = results["guards"]
    assert guards["facts"]["rounds"] == 4
    assert guards["figures"]["a step, guarded"]["median"] > 0
