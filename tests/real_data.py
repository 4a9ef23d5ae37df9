"""Where real data sets lie, for the tests that read some."""

import os
from pathlib import Path

_BESIDE = Path(__file__).resolve().parents[2] / "shared" / "data"
DATA = Path(os.environ.get("WAVE_JAX_DATA", _BESIDE))
