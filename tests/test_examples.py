"""The examples run and say what they promise."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

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
