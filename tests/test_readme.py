"""What the README shows works as shown."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text("utf-8")


def test_the_functional_example_runs() -> None:
    blocks = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    (example,) = (block for block in blocks if "superpose" in block)
    names: dict[str, Any] = {}
    exec(example, names)
    assert names["real"].shape == (5, 64)
    assert names["gradients"]["classifier"]["kernel"].shape == (64, 4)


def test_files_that_are_named_exist() -> None:
    for path in set(re.findall(r"\b(?:configs|examples|benchmarks)/\w+\.py", README)):
        assert (ROOT / path).is_file(), path
    for name in set(re.findall(r"--config (\w+)\b(?!/)", README)):
        assert (ROOT / "configs" / f"{name}.py").is_file(), name
