"""The Wave Network in JAX: complex token representations and their backpropagation.

`wave_jax.ops` holds the pure functions, `wave_jax.models` the Flax networks over them,
`wave_jax.probe` the gradients through magnitude and phase; `wave_jax.load(workdir)` returns a
trained classifier, and `wave_jax.TextClassifier` is one of scikit-learn's kind. Submodules are
imported on first use, so that `import wave_jax` stays quick.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"
__all__ = ["TextClassifier", "__version__", "load", "models", "ops", "probe"]

if TYPE_CHECKING:
    import wave_jax.models as models
    import wave_jax.ops as ops
    import wave_jax.probe as probe
    from wave_jax.inference import load
    from wave_jax.inference.estimator import TextClassifier


def __getattr__(name: str) -> Any:
    homes = {"load": "inference", "TextClassifier": "inference.estimator"}
    if name in __all__:
        module = importlib.import_module(f"wave_jax.{homes.get(name, name)}")
        return getattr(module, name) if name in homes else module
    raise AttributeError(f"module 'wave_jax' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
