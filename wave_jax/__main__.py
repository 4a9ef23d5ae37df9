"""`python -m wave_jax COMMAND`."""

from __future__ import annotations

import sys

if __name__ == "__main__":
    if not sys.flags.safe_path:  # the current folder, whose random.py would be executed
        del sys.path[0]
    from wave_jax.cli import main

    sys.exit(main())
