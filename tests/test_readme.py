"""What the README shows works as shown."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text("utf-8")


BLOCKS = re.findall(r"```python\n(.*?)```", README, re.DOTALL)


def run(word: str, **names: Any) -> dict[str, Any]:
    """Runs the one example that has the word in it."""
    (example,) = (block for block in BLOCKS if word in block)
    exec(example, names)
    return names


def test_the_examples_of_a_trained_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    texts, labels = ["great value", "good", "broke at once", "bad value"] * 3, [5, 4, 1, 1] * 3
    model = run("TextClassifier", texts=texts, labels=labels)["model"]
    assert set(model.predict(texts).tolist()) <= {1, 4, 5}
    shutil.copytree("models/mine", "runs/mine")
    assert run("classifier.predict")["classifier"].labels == ("1", "4", "5")
    names = run("wave_gradients")
    np.testing.assert_allclose(sum(names["paths"]), names["variant"].total, atol=1e-6)
    assert names["found"].embedding.shape[:2] == names["mask"].shape


def test_the_functional_example_runs() -> None:
    names = run("superpose")
    assert names["real"].shape == (5, 64)
    assert names["gradients"]["classifier"]["kernel"].shape == (64, 4)


def test_files_that_are_named_exist() -> None:
    for path in set(re.findall(r"\b(?:configs|examples|benchmarks)/\w+\.py", README)):
        assert (ROOT / path).is_file(), path
    for name in set(re.findall(r"--config (\w+)\b(?!/)", README)):
        assert (ROOT / "configs" / f"{name}.py").is_file(), name
