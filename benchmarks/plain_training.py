"""`wave_jax train` on the plain path: every token projected, autodiff, dense AdamW.

python -m benchmarks.plain_training ARGUMENTS OF train.py
"""

from __future__ import annotations

import sys

import wave_jax.training.evaluation
import wave_jax.training.step
import wave_jax.training.task
from wave_jax.cli.train import main


def _never(model: object) -> bool:
    return False


if __name__ == "__main__":
    for module in (wave_jax.training.step, wave_jax.training.task):
        module.has_rows = _never  # type: ignore[attr-defined]
    sys.exit(main(sys.argv[1:], prog="python -m benchmarks.plain_training"))
