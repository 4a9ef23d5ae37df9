"""The Wave Network in JAX: complex token representations and their backpropagation.

`wave_jax.ops` holds the pure functions, `wave_jax.models` the Flax networks over them,
`wave_jax.probe` the gradients through magnitude and phase; `wave_jax.load(workdir)` returns a
trained classifier. Submodules are imported on first use, so that `import wave_jax` stays quick.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"
__all__ = ["__version__", "load", "models", "ops", "probe"]

if TYPE_CHECKING:
    import wave_jax.models as models
    import wave_jax.ops as ops
    import wave_jax.probe as probe
    from wave_jax.inference import load


def __getattr__(name: str) -> Any:
    if name == "load":
        return importlib.import_module("wave_jax.inference").load
    if name in __all__:
        return importlib.import_module(f"wave_jax.{name}")
    raise AttributeError(f"module 'wave_jax' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
