"""The layers of the package, and what the light ones must not load."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import wave_jax

ROOT = Path(wave_jax.__file__).parent
# What each folder or module may import, besides itself and the package's version.
LAYERS = ["errors", "ops", "models", "probe", "training", "runs", "inference", "export"]
LAYERS += ["experiments", "cli"]
ALLOWED = {layer: set(LAYERS[:index]) for index, layer in enumerate(LAYERS)}
ALLOWED["data"] = {"errors"}
for upper in ("training", "runs", "inference", "export", "experiments", "cli"):
    ALLOWED[upper].add("data")
ALLOWED["__main__"] = {"cli"}
ALLOWED["__init__"] = {"ops", "models", "probe", "inference"}

HEAVY = {"tensorflow_datasets", "tokenizers", "matplotlib", "orbax", "pyarrow", "tyro"}
HEAVY |= {"tensorflow", "torch", "onnx", "onnxruntime", "huggingface_hub"}


def _layer(path: Path) -> str:
    return path.relative_to(ROOT).parts[0].removesuffix(".py")


def _imported(path: Path) -> set[str]:
    """The folders and modules of wave_jax that a file imports, inside functions too."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: write imports with the package's name"
            module = node.module or ""
            names |= {f"{module}.{alias.name}" for alias in node.names}
    parts = [name.split(".") for name in names]
    return {part[1] for part in parts if part[0] == "wave_jax" and len(part) > 1}


@pytest.mark.parametrize(
    "path", sorted(ROOT.rglob("*.py")), ids=lambda path: str(path.relative_to(ROOT))
)
def test_imports_go_one_way(path: Path) -> None:
    layer = _layer(path)
    assert layer in ALLOWED, f"say in this test which layer {layer!r} is"
    wrong = _imported(path) - ALLOWED[layer] - {layer, "__version__"}
    assert not wrong, f"{path}: {layer} must not import {sorted(wrong)}"


def test_light_imports_need_no_heavy_package() -> None:
    """`import wave_jax`, ops, models and probe work where these are not installed."""
    light = [name for name in ("ops", "models", "probe") if (ROOT / name).is_dir()]
    code = f"""
import sys

class Missing:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {HEAVY!r}:
            raise ModuleNotFoundError(f"{{name}} is not installed here", name=name)

sys.meta_path.insert(0, Missing())
import wave_jax
assert "jax" not in sys.modules, "import wave_jax alone stays quick"
for name in {light!r}:
    getattr(wave_jax, name)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
