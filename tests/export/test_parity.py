"""The default run, exported, on a thousand real texts and a hundred odd ones."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import wave_jax
from tests.export.test_hub import ODD
from wave_jax.data.dataset import load_dataset
from wave_jax.export.hub import write_hub
from wave_jax.export.onnx_graph import write_onnx
from wave_jax.runs.files import load_config
from wave_jax.runs.workdir import with_snapshot

ROOT = Path(__file__).parents[2]


def odd_texts(texts: list[str]) -> list[str]:
    """Returns a hundred: odd ones alone, and around and between the words of real ones."""
    pairs = zip(ODD * 7, texts, strict=False)
    mixed = [f"{odd} {text[:200]} {odd}{text[200:300]}" for odd, text in pairs]
    return [*ODD, *mixed][:100]


def check(run: Path, folder: Path) -> None:
    data = load_config(run).data
    texts = list(load_dataset(with_snapshot(data, run)).test.texts[:1000])
    assert len(texts) == 1000
    texts += odd_texts(texts)
    plain, folded = wave_jax.load(run, fold=False), wave_jax.load(run)
    expected = plain.logits(texts)
    largest = np.abs(expected).max()

    back = write_hub(folded, folder / "hub", {})
    assert back.predict(texts) == folded.predict(texts)
    assert np.abs(folded.logits(texts) - expected).max() <= 1e-5 * largest
    found = write_onnx(plain, folder / "float32")(texts)
    assert np.abs(found - expected).max() <= 1e-5 * largest
    home = wave_jax.load(run, table="int8").logits(texts)
    for rounded in (home, write_onnx(plain, folder / "int8", "int8")(texts)):
        agreement = (rounded.argmax(axis=1) == expected.argmax(axis=1)).mean()
        print(
            f"float32 {np.abs(found - expected).max():.2g} of {largest:.3g}, int8 {agreement:.2%}"
        )
        assert agreement >= 0.99


@pytest.mark.slow
def test_the_default_run(tmp_path: Path) -> None:
    for package in ("onnx", "onnxruntime"):
        pytest.importorskip(package)
    start = [sys.executable, str(ROOT / "train.py"), "--train.no-baseline"]
    subprocess.run([*start, "--workdir", str(tmp_path / "run")], check=True)
    check(tmp_path / "run", tmp_path)
