"""Trains a Wave Network; alone, `python train.py`, on text found on this machine in a minute."""

from __future__ import annotations

import sys

from wave_jax.cli import run_command

if __name__ == "__main__":
    sys.exit(run_command("train", prog="python train.py"))
