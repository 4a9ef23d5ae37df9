"""The commands: `python -m wave_jax COMMAND`, the script `wave_jax COMMAND`, and train.py."""

from __future__ import annotations

from wave_jax.cli.app import main, run_command

__all__ = ["main", "run_command"]
