"""`python -m wave_jax COMMAND`."""

from __future__ import annotations

import sys

from wave_jax.cli import main

if __name__ == "__main__":
    sys.exit(main())
