"""The benchmarks: all implementations compute one network, figures are what they are called."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys

import jax
import numpy as np
import pytest

from benchmarks import accuracy
from benchmarks.__main__ import BENCHMARKS, Options, main
from benchmarks.guards import KINDS, add_step_unchecked
from benchmarks.implementations import sinusoids
from benchmarks.implementations.literal import LiteralWaves
from benchmarks.parts import PARTS, part_of
from benchmarks.report import Figure, Report
from benchmarks.setting import Setting, ids_and_mask, make_tokens
from benchmarks.workers import NotInstalled, Worker, take_turns, workers
from wave_jax.data.batches import TrainBatches
from wave_jax.data.config import DataConfig
from wave_jax.errors import UserError
from wave_jax.models import ModelConfig, build_model
from wave_jax.training.metrics import add_step, empty_metrics
from wave_jax.training.step import has_rows


class Missing:
    def __init__(self) -> None:
        raise NotInstalled("nothing to import")


class PlainPath:
    def __init__(self) -> None:
        accuracy.use_plain_path()

    def computes_from_rows(self) -> bool:
        config = ModelConfig(dim=16)
        model = build_model(config, vocab_size=128, num_classes=3, max_length=12)
        return has_rows(model) or hasattr(model, "logits_from_distinct")


@pytest.fixture(scope="module")
def setting(tmp_path_factory):
    """The smallest setting, on texts of two classes."""
    folder = tmp_path_factory.mktemp("texts")
    rng = np.random.default_rng(0)
    lines = [
        f"{' '.join(rng.choice(['blue', 'red', 'sea', 'sun'], 6))},{row % 2}" for row in range(60)
    ]
    (folder / "texts.csv").write_text("\n".join(["text,label", *lines]))
    data = DataConfig(source=str(folder / "texts.csv"), cache_dir=str(folder / "cache"))
    return Setting(dim=16, batch_size=8, data=data)


def test_every_benchmark_is_listed_and_wrong_names_are_refused(capsys):
    assert main(Options(list=True)) == 0
    shown = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in shown] == list(BENCHMARKS)
    assert all(len(line.split()) > 4 for line in shown)
    with pytest.raises(UserError, match="did you mean"):
        main(Options(only=("stepp",)))


def test_workers_take_turns_and_missing_packages_leave_a_note():
    notes: list[str] = []
    wanted = {"three quarters": ("fractions:Fraction", 3, 4), "gone": (f"{__name__}:Missing",)}
    with workers(wanted, notes) as running:
        assert list(running) == ["three quarters"]
        worker = running["three quarters"]
        assert worker.ask("limit_denominator", 2) == 1
        assert worker.peak_bytes() > 1e6
        calls = {"a": (worker, "conjugate"), "b": (worker, "limit_denominator", 2)}
        assert {name: len(values) for name, values in take_turns(calls, 3).items()} == {
            "a": 3,
            "b": 3,
        }
        with pytest.raises(RuntimeError, match="no_such_method"):
            worker.ask("no_such_method")
    assert notes == ["nothing to import"]
    with pytest.raises(RuntimeError, match="ZeroDivisionError"):
        Worker("fractions:Fraction", 1, 0)


def test_figures_are_medians_with_quartiles():
    report = Report(facts={"memory": 1.5}, notes=["noisy"])
    report.add("a step", [5, 1, 2, 3, 4], "ms")
    report.add("another", [6.0], "ms")
    report.add_ratio("another / a step", "another", "a step")
    assert report.figures["a step"] == Figure(3, 2, 4, "ms")
    assert report.ratios == {"another / a step": 2}
    assert json.loads(json.dumps(dataclasses.asdict(report)))["figures"]["a step"]["median"] == 3
    assert len(list(report.lines())) == 5


def test_operations_belong_to_the_first_part_that_names_them():
    names = {
        "jit(step)/jvp(W.logits_from_rows)/layer_0.project/variants/dot_general": "forward product",
        "jit(step)/transpose(jvp(W.logits_from_rows))/layer_0.project/dot_general": "backward prod",
        "jit(step)/update_rows/scatter": "AdamW and write",
        "jit(step)/jvp(W)/layer_0._drop/jit(_bernoulli)/while": "random numbers",
    }
    for name, part in names.items():
        assert part in part_of(name)
    assert part_of("copy.3") == "other"


def test_every_part_occurs_in_the_compiled_step(setting):
    with workers({"ours": ("benchmarks.parts:Profiler", setting)}, []) as running:
        names = running["ours"].ask("full_names").values()
    assert {part_of(name) for name in names} >= {part for part, _ in PARTS}


def test_turns_with_and_without_guards_are_timed(setting):
    with workers({"it": ("benchmarks.guards:GuardedTraining", setting)}, []) as running:
        seconds = running["it"].ask("measure", 2)
    assert list(seconds) == list(KINDS)
    assert all(len(values) == 2 and min(values) > 0 for values in seconds.values())


def test_sums_without_guards_do_not_check_the_numbers():
    step = {name: np.float32(1) for name in ("correct", "examples", "grad_norm", "learning_rate")}
    step |= {"step": np.int32(7), "loss": np.float32("nan"), "bad_groups": np.int32(1)}
    assert add_step(empty_metrics(), **step).bad_step == 7
    unchecked = add_step_unchecked(empty_metrics(), **step)
    assert unchecked.bad_step == -1
    assert unchecked.examples == 1


def test_the_plain_path_computes_with_ids_alone():
    with workers({"plain": (f"{__name__}:PlainPath",)}, []) as running:
        assert not running["plain"].ask("computes_from_rows")
    assert has_rows(build_model(ModelConfig(), vocab_size=128, num_classes=3, max_length=12))


@pytest.fixture(scope="module")
def batches():
    rng = np.random.default_rng(0)
    texts = [rng.integers(4, 60, length).astype(np.int32) for length in (5, 12, 2, 7, 9, 3)]
    return TrainBatches(
        make_tokens(texts), rng.integers(0, 3, 6), batch_size=6, seed=0, table_rows=128
    )


def test_ids_are_padded_and_truncated(batches):
    batch = batches.batch(0)
    ids, mask = ids_and_mask(batch)
    assert sorted(mask.sum(1)) == [2, 3, 5, 7, 9, 12]
    assert (ids[~mask] == 0).all()
    assert (ids[mask] >= 4).all()
    for length in (4, 40):
        cut, kept = ids_and_mask(batch, length)
        assert cut.shape == kept.shape == (6, length)
        width = min(length, ids.shape[1])
        np.testing.assert_array_equal(cut[:, :width], ids[:, :width])
        assert kept.sum() == mask[:, :length].sum()


@pytest.fixture(scope="module", params=["adapted", "paper"])
def network(batches, request):
    """A wave network: ids, mask, parameters by name, logits; with and without positions."""
    config = ModelConfig(dim=16, ffn_dim=16, **Setting(preset=request.param).waves())
    model = build_model(config, vocab_size=128, num_classes=3, max_length=12)
    ids, mask = ids_and_mask(batches.batch(0), 12)
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


def test_the_literal_network_computes_the_same(network):
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
    paper = "norm_in_0" not in parts
    if paper:
        names = {k: v for k, v in names.items() if v != "norm_in_0"} | {"LayerNorm_0": "norm_out"}
        del names["LayerNorm_1"]
    literal = {name: parts[ours] for name, ours in names.items()}
    found = LiteralWaves(128, 3, 16, 0.5, paper).apply({"params": literal}, ids, mask)
    np.testing.assert_allclose(found, expected, **CLOSE)


def test_the_pytorch_network_computes_the_same(network):
    torch = pytest.importorskip("torch")
    from benchmarks.implementations.torch_wave import WaveNetwork

    ids, mask, parts, expected = network
    norms = {"norm_in": "norm_in_0", "norm_out": "norm_out"}
    paper = "norm_in_0" not in parts
    if paper:
        del norms["norm_in"]
    plain = WaveNetwork(128, 3, 16, 0.5, sinusoids(12, 16) if paper else None).eval()
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
    for name, ours in norms.items():
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
