"""What the README and docs/ show works as shown."""

from __future__ import annotations

import importlib
import re
import shlex
import shutil
from collections.abc import Collection, Iterator
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest
import tyro

from tests.cli.conftest import TINY, write_texts
from wave_jax.cli import main
from wave_jax.cli.app import parse
from wave_jax.cli.train import read_arguments
from wave_jax.ops import split_gradient

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").glob("*.md"))]
PAGES += [ROOT / "benchmarks" / "NOTES.md"]
BY_CI = {"pip install -e .", "python train.py", "pip install -e '.[test]'", "pytest"}
STARTS = ("python train.py", "python -m wave_jax ", "python -m benchmarks")


def blocks(page: str | Path) -> list[tuple[str, str]]:
    """The language and the text of each fenced block of a page, in order."""
    text = (ROOT / page).read_text("utf-8")
    return re.findall(r"^```(\w+)\n(.*?)^```", text, re.DOTALL | re.MULTILINE)


def commands(block: str) -> list[str]:
    """The commands of a block of shell, each on a line of its own, without comments."""
    lines = block.replace("\\\n", " ").replace(" && ", "\n").splitlines()
    return [line for line in (re.sub(r"(^| +)#.*", "", each) for each in lines) if line]


def execute(command: str) -> None:
    """Runs a command of ours in this process; a training is cut to a tiny one, and not repeated."""
    line, _, out = command.partition(" > ")
    argv = shlex.split(line)
    if argv[1] == "train.py" and Path(argv[argv.index("--workdir") + 1]).exists():
        return
    if argv[:2] == ["python", "train.py"]:
        argv = ["train", *argv[2:], *TINY, "--train.steps", "3", "--data.max-length", "32"]
        if "--data.source" not in argv:
            argv += ["--data.source", "reviews.csv", "--data.label-column", "stars"]
            argv += ["--data.text-columns", "title", "body"]
    else:
        assert argv[:3] == ["python", "-m", "wave_jax"], command
        argv = argv[3:]
    if not out:
        assert main(argv) == 0, command
        return
    with Path(out).open("w", encoding="utf-8") as file, redirect_stdout(file):
        assert main(argv) == 0, command


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Where everything runs: the files that the pages name, and a cache of its own."""
    place = tmp_path_factory.mktemp("readme")
    for seed, name in enumerate(("reviews.csv", "later_reviews.csv", "unlabelled.csv")):
        text = write_texts(place / name, 60, seed).read_text("utf-8")
        (place / name).write_text(text.replace("topic", "stars", 1), "utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(place)
        patch.setenv("XDG_CACHE_HOME", str(place / "cache"))
        jax.config.update("jax_disable_most_optimizations", True)  # nearly all time is compiling
        yield place
        jax.config.update("jax_disable_most_optimizations", False)


def run(page: str, languages: Collection[str] = ("sh", "python")) -> list[dict[str, Any]]:
    """Runs a page from top to bottom; returns the names that each Python example leaves."""
    left: list[dict[str, Any]] = []
    for language, block in blocks(page):
        if language == "python" and language in languages:
            left.append({})
            exec(block, left[-1])
        elif language == "sh" and language in languages:
            for command in commands(block):
                if command not in BY_CI:
                    execute(command)
    return left


@pytest.fixture(scope="module")
def readme(folder: Path) -> list[dict[str, Any]]:
    return run("README.md")


def test_the_readme_from_top_to_bottom(readme: list[dict[str, Any]], folder: Path) -> None:
    arrays, network = readme
    assert (arrays["d_magnitude"].shape, arrays["d_phase"].shape) == ((1, 8), (5, 8))
    # the sum of two float32 arrays of about 1
    both = arrays["by_magnitude"] + arrays["by_phase"]
    np.testing.assert_allclose(both, arrays["gradient"], atol=1e-6)

    variants = network["found"].layers[0].variants
    assert np.any(variants[0].d_phase[0, 1:]), "phases of other tokens than [CLS] have a gradient"
    # the same arithmetic, compiled in two ways
    for ours, again in zip(
        (network["d_magnitude"], network["d_phase"]), network["again"], strict=True
    ):
        np.testing.assert_allclose(again, ours, rtol=1e-4, atol=1e-6 * np.abs(ours).max())
    assert (folder / "waves.html").stat().st_size > 20_000


@pytest.mark.slow
@pytest.mark.usefixtures("readme")
def test_a_run_on_own_data(folder: Path) -> None:
    shutil.copytree("runs/mean", "runs/mine")
    (names,) = run("docs/DATA.md")
    assert names["classifier"].labels == ("land", "sea", "sky")
    assert len((folder / "labels.jsonl").read_text("utf-8").splitlines()) == 60

    probing, mathematics = run("docs/PROBING.md", ["python"])  # of the same run
    variant, paths = probing["variant"], probing["paths"]
    again = split_gradient(variant.tokens, variant.total, mask=probing["mask"])
    np.testing.assert_allclose(again, paths, atol=1e-6)
    assert mathematics["real"].shape == (5, 64)


@pytest.mark.slow
@pytest.mark.usefixtures("folder")
def test_training_from_python() -> None:
    estimator, module = run("docs/TRAINING.md", ["python"])
    assert set(estimator["model"].predict(["good", "bad"]).tolist()) <= {1, 4, 5}
    gradients = module["gradients"](module["params"])
    assert gradients["classifier"]["kernel"].shape == (64, 4)


def shown() -> list[tuple[str, str]]:
    """Every command of ours on a page: in blocks of shell, and between backquotes in a sentence."""
    found = []
    for page in PAGES:
        if page.name == "CHANGELOG.md":  # which names what is gone, too
            continue
        text = page.read_text("utf-8")
        shell = (block for language, block in blocks(page) if language == "sh")
        lines = [each for block in shell for each in commands(block)]
        prose = re.sub(r"^```.*?^```", "", text, flags=re.DOTALL | re.MULTILINE)
        lines += [" ".join(each.split()) for each in re.findall(r"`(python [^`]+)`", prose)]
        for line in lines:
            start = next((line.index(start) for start in STARTS if start in line), None)
            if start is not None and "--help" not in line:
                found.append((page.name, line[start:].partition(" > ")[0]))
    return found


@pytest.mark.parametrize(("page", "command"), sorted(set(shown())))
def test_every_command_has_the_options_it_shows(page: str, command: str) -> None:
    argv = shlex.split(command)
    if argv[1] == "train.py":
        read_arguments(argv[2:], prog="train")
    elif argv[2] == "benchmarks.exports":
        assert len(argv) == 4, "a run is all that it takes"
    elif argv[2] == "benchmarks":
        tyro.cli(importlib.import_module("benchmarks.__main__").Options, args=argv[3:])
    elif argv[3:]:
        module = importlib.import_module(f"wave_jax.cli.{argv[3]}")
        needed = {"reproduce": 0, "export": 3}.get(argv[3], 1)
        default = module.Options(*[tyro.MISSING] * needed)
        rest = argv[4:] or ["WORKDIR"]
        parse(default, rest, "wave_jax", "", "--input")


def anchors(page: Path) -> set[str]:
    """The names by which GitHub links to a page's headings."""
    heads = re.findall(r"^#+ (.+)$", page.read_text("utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", head.lower()).replace(" ", "-") for head in heads}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    text = page.read_text("utf-8")
    for link in re.findall(r"\]\(([^)\s]+)\)", text):
        if re.match(r"\w+:", link):
            continue
        name, _, anchor = link.partition("#")
        target = (page.parent / name).resolve() if name else page
        assert target.exists(), link
        assert target.is_relative_to(ROOT), link
        assert not anchor or anchor in anchors(target), link
    # files that are named without a link, from the root of the repository
    for name in re.findall(
        r"`((?:tests|examples|benchmarks|configs|docs|wave_jax)/[\w/.]+)`", text
    ):
        assert (ROOT / name).exists(), name


def test_every_page_is_reached_from_the_readme() -> None:
    readme = (ROOT / "README.md").read_text("utf-8")
    for page in (ROOT / "docs").glob("*.md"):
        assert f"(docs/{page.name})" in readme, page.name
    assert len(readme.split()) <= 1200


def test_recipes_that_are_named_exist() -> None:
    for page in PAGES:
        for name in set(re.findall(r"--config (\w+)\b(?!/)", page.read_text("utf-8"))):
            assert name == "PATH" or (ROOT / "configs" / f"{name}.py").is_file(), name


def test_what_is_not_run_here_is_run_before_a_change_is_taken() -> None:
    ci = (ROOT / ".ci" / "run").read_text("utf-8")
    for command in BY_CI:
        words = command.replace("pip install", "pip install --quiet --disable-pip-version-check")
        assert words.replace("-e .", "-e '.[test]'", 1) in ci or words in ci, command
