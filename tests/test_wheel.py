"""An installation that is not editable trains as a checkout does, and executes nothing strange."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

import pytest

from tests.cli.conftest import write_texts

ROOT = Path(__file__).parents[1]
SHOW = """
from wave_jax.cli.train import read_arguments
for argv in ([], ["--preset", "paper"], ["--config", "imdb"]):
    print(read_arguments(argv, prog="train"))
"""


def _run(*command: object, cwd: Path, path: str = "") -> str:
    done = subprocess.run(
        list(map(str, command)),
        cwd=cwd,
        env=dict(os.environ, PYTHONPATH=path),
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of commands of a new environment; its dependencies are those of this one."""
    place = tmp_path_factory.mktemp("wheel")
    for name in ("pyproject.toml", "README.md", "LICENSE"):  # builds leave files
        (place / "source").mkdir(exist_ok=True)
        shutil.copy(ROOT / name, place / "source")
    for name in ("configs", "wave_jax"):
        shutil.copytree(ROOT / name, place / "source" / name)
    pip = (sys.executable, "-m", "pip", "--disable-pip-version-check")
    _run(*pip, "wheel", "--no-deps", "-w", place, place / "source", cwd=place)
    venv.create(place / "venv", symlinks=os.name != "nt")
    commands = place / "venv" / ("Scripts" if os.name == "nt" else "bin")
    (wheel,) = place.glob("*.whl")
    new = ("--python", commands / "python")
    _run(*pip, *new, "install", "--no-deps", "--no-index", wheel, cwd=place)
    show = "import sysconfig; print(sysconfig.get_path('purelib'))"
    site = Path(_run(commands / "python", "-c", show, cwd=place).strip())
    (site / "dependencies.pth").write_text(sysconfig.get_path("purelib"))
    return commands


@pytest.mark.slow
def test_a_wheel_trains_as_the_checkout(installed: Path, tmp_path: Path) -> None:
    show = "import wave_jax; print(wave_jax.__file__)"
    package = Path(_run(installed / "python", "-c", show, cwd=tmp_path).strip()).parent
    assert not package.is_relative_to(ROOT), "the wheel's and not the checkout's"
    # what other packages and the user's own folder may hold; each would say that it ran
    for strange in (package.parent / "configs", tmp_path / "configs", tmp_path):
        strange.mkdir(exist_ok=True)
        for name in ("__init__.py", "default.py", "imdb.py"):
            (strange / name).write_text(f"open({str(tmp_path / 'executed')!r}, 'a').write('x')\n")
    (package.parent / "pyproject.toml").touch()

    here = _run(sys.executable, "-c", SHOW, cwd=ROOT, path=str(ROOT))
    assert _run(installed / "python", "-c", SHOW, cwd=tmp_path) == here
    source = write_texts(tmp_path / "texts.csv", 60)
    given = ["--data.source", source, "--data.label-column", "topic", "--train.steps", "1"]
    given += ["--train.no-baseline", "--data.cache-dir", tmp_path / "cache", "--workdir"]
    _run(installed / "wave_jax", "train", *given, tmp_path / "wheel", cwd=tmp_path)
    _run(sys.executable, ROOT / "train.py", *given, tmp_path / "checkout", cwd=tmp_path)
    configs = [
        json.loads((tmp_path / n / "config.json").read_text()) for n in ("wheel", "checkout")
    ]
    for config in configs:
        config.pop("workdir", None)
    assert configs[0] == configs[1]
    assert not (tmp_path / "executed").exists()
