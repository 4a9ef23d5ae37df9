"""The examples run and say what they promise."""

from __future__ import annotations

import ast
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.export.test_hub import MARKUP, ODD, TEXTS, make_classifier

EXAMPLES = Path(__file__).parents[1] / "examples"


def test_probe_gradients() -> None:
    done = subprocess.run(
        [sys.executable, str(EXAMPLES / "probe_gradients.py")], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    gap = re.search(r"magnitude path \+ phase path = dL/du, to (\S+) of", done.stdout)
    assert gap is not None
    assert float(gap[1]) < 1e-5
    assert "the largest entry between two tokens is 0" in done.stdout


def test_onnx_predict(tmp_path: Path) -> None:
    """Without wave_jax it finds the same ids, pairs of words and stems among them."""
    for package in ("onnx", "onnxruntime"):
        pytest.importorskip(package)
    from wave_jax.export.onnx_graph import write_onnx

    script = EXAMPLES / "onnx_predict.py"
    assert "import wave_jax" not in ast.unparse(ast.parse(script.read_text("utf-8")))
    classifier, texts = make_classifier(), [text for text in [*TEXTS, *ODD] if "\0" not in text]
    write_onnx(classifier, tmp_path / "out")
    start = [sys.executable, str(script), str(tmp_path / "out"), *texts]
    done = subprocess.run(start, capture_output=True, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    found = [json.loads(line) for line in done.stdout.decode().splitlines()]
    for row, expected in zip(found, classifier.predict(texts), strict=True):
        assert row["label"] == expected.label
        for name in MARKUP:
            assert abs(row["probabilities"][name] - expected.probabilities[name]) < 1e-5
    (tmp_path / "out" / "model.onnx").unlink()
    done = subprocess.run(start, capture_output=True, cwd=tmp_path, text=True)
    assert done.returncode == 1
    assert done.stderr.startswith(f"{tmp_path / 'out'} holds no model.onnx: expected what")
    assert done.stderr.count("\n") == 1
