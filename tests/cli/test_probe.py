"""The command `probe` on a tiny run."""

import json
from pathlib import Path

import numpy as np
import pytest

import wave_jax
from tests.cli.conftest import Command, Done, assert_refused
from wave_jax.inference import probing
from wave_jax.probe import WaveGradients


def test_a_table_and_a_page(trained: tuple[Path, Done], command: Command, tmp_path: Path) -> None:
    page = tmp_path / "out.html"
    done = command("probe", trained[0], "--text", "waves <b>tide</b>", "--html", page)
    assert done.status == 0, done.err
    for part in (
        "waves <b>tide</b>",
        "[CLS]",
        "magnitude",
        "phase",
        "Integrated gradients",
        "out.html",
    ):
        assert part in done.out
    assert "<b>tide" not in page.read_text(encoding="utf-8")


def test_json_holds_all_numbers(trained: tuple[Path, Done], command: Command) -> None:
    texts = ["waves tide ship", "hill"]
    done = command("probe", trained[0], *(x for text in texts for x in ("--text", text)), "--json")
    rows = [json.loads(line) for line in done.out.splitlines()]
    assert [row["text"] for row in rows] == texts
    row = rows[0]
    assert row["label"] == row["predicted"]
    assert sum(row["probabilities"].values()) == pytest.approx(1)
    count = len(row["tokens"])
    (layer,) = row["layers"]
    for values in (row["gradient"], row["gradient_times_input"], layer["magnitude_path"]):
        assert len(values) == count
        assert np.isfinite(values).all()
    integrated = row["integrated_gradients"]
    assert integrated["converged"] == (integrated["gap"] < 0.01)
    change = integrated["value"] - integrated["baseline_value"]
    gap = abs(sum(integrated["tokens"]) - change) / abs(change)
    assert gap == pytest.approx(integrated["gap"], abs=1e-4)
    assert 0 < layer["magnitude_share"] < 1


def test_lines_examples_labels_and_scalars(
    trained: tuple[Path, Done], command: Command, tmp_path: Path
) -> None:
    folder = trained[0]
    lines = tmp_path / "lines.txt"
    lines.write_text("waves tide\nhill road\n", encoding="utf-8")
    options = ("--input", lines, "--label", "sky", "--of", "logit", "--json")
    rows = [json.loads(line) for line in command("probe", folder, *options).out.splitlines()]
    assert [(row["text"], row["label"], row["of"]) for row in rows] == [
        ("waves tide", "sky", "logit"),
        ("hill road", "sky", "logit"),
    ]
    done = command("probe", folder, "--example", "3", "--split", "test", "--of", "margin", "--json")
    row = json.loads(done.out)
    assert row["label"] in ("sea", "land", "sky")
    assert row["text"]


def test_bad_input_is_one_line(
    trained: tuple[Path, Done], command: Command, tmp_path: Path
) -> None:
    folder = trained[0]
    long = "waves " * 40
    assert_refused(command("probe", folder, "--text", long), "26 of the text's 42 tokens", "16")
    assert command("probe", folder, "--text", long, "--cut").status == 0
    assert_refused(command("probe", folder, "--text", "  "), "text 1", "empty")
    (tmp_path / "lines.txt").write_text("waves\n\n", encoding="utf-8")
    assert_refused(command("probe", folder, "--input", tmp_path / "lines.txt"), "line 2", "empty")
    assert_refused(command("probe", folder, "--input", tmp_path / "none"), "none", "no such file")
    assert_refused(command("probe", folder), "--text")
    assert_refused(command("probe", folder, "--text", "a", "--example", "1"), "one way")
    assert_refused(command("probe", folder, "--text", "a", "--label", "skyy"), "'sky'")
    assert_refused(command("probe", folder, "--example", "10000"), "10000")
    assert_refused(
        command("probe", folder, "--text", "a", "--html", tmp_path / "no" / "x"), "write"
    )
    many = [x for _ in range(9) for x in ("--text", "sea")]
    assert_refused(command("probe", folder, *many, "--html", tmp_path / "x"), "at most 8")
    assert_refused(command("probe", tmp_path / "none", "--text", "a"), "none")


def test_a_run_without_checkpoint_is_refused(
    trained: tuple[Path, Done], command: Command, tmp_path: Path
) -> None:
    for file in ("config.json", "tokenizer.json", "labels.json"):
        (tmp_path / file).write_bytes((trained[0] / file).read_bytes())
    assert_refused(command("probe", tmp_path, "--text", "a"), "checkpoint")


def test_a_model_without_waves_is_refused(
    trained: tuple[Path, Done], command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    probing._jitted.cache_clear()  # else the program of an earlier test is used
    monkeypatch.setattr("wave_jax.probe.gradients._layers", lambda _: [])
    assert_refused(command("probe", trained[0], "--text", "sea ship hill"), "no waves")


def test_from_python(trained: tuple[Path, Done]) -> None:
    classifier = wave_jax.load(trained[0])
    found = probing.probe_text(classifier, "waves tide")
    gradients = found.result.gradients
    assert isinstance(gradients, WaveGradients)
    width = classifier.model.table_width()  # two variants, and a weight for each class
    assert gradients.embedding.shape == (1, len(found.tokens), width)
    np.testing.assert_allclose(
        gradients.logits[0], classifier.logits("waves tide"), rtol=1e-4, atol=1e-5
    )
