"""The embedded corpus: prose of documentation strings, to be told apart by package.

Read at run time from the source files of Python's library and of what wave_jax itself requires:
parsed, never imported. Offline, and on one machine always the same.
"""

from __future__ import annotations

import ast
import hashlib
import importlib.util
import re
import sysconfig
import warnings
from collections.abc import Iterable, Iterator
from pathlib import Path

from wave_jax.data.prose import prose
from wave_jax.data.rows import Rows
from wave_jax.data.splits import Splits
from wave_jax.errors import UserError

# label: where its source files are; several roots make one class.
PACKAGES: dict[str, tuple[str, ...]] = {
    "flax": ("flax",),
    "grain": ("grain",),
    "jax": ("jax",),
    "matplotlib": ("matplotlib",),
    "numpy": ("numpy",),
    "optax": ("optax",),
    "orbax": ("orbax",),
    "pytest": ("_pytest",),
    "rich": ("rich",),
    "tensorflow_datasets": ("tensorflow_datasets",),
}
# Modules of the standard library that every supported version of Python has.
STANDARD_LIBRARY = "python"
STANDARD_MODULES = (
    *("argparse", "ast", "asyncio", "bdb", "calendar", "codecs", "collections", "concurrent"),
    *("configparser", "contextlib", "csv", "ctypes", "datetime", "_pydatetime", "_pydecimal"),
    *("difflib", "doctest", "email", "enum", "fractions", "ftplib", "functools", "gettext"),
    *("gzip", "heapq", "html", "http", "imaplib", "importlib", "inspect", "ipaddress", "json"),
    *("locale", "logging", "mailbox", "multiprocessing", "optparse", "os", "pathlib", "pdb"),
    *("pickle", "platform", "poplib", "pprint", "pydoc", "_pyio", "random", "re", "sched"),
    *("shelve", "shutil", "smtplib", "socket", "socketserver", "sqlite3", "ssl", "statistics"),
    *("string", "subprocess", "tarfile", "tempfile", "textwrap", "threading", "timeit"),
    *("tokenize", "trace", "traceback", "types", "typing", "unittest", "urllib", "uuid"),
    *("warnings", "weakref", "xml", "xmlrpc", "zipfile", "zoneinfo"),
)
MOST_TEXTS = 1_200  # of one class
LEAST_WORDS = 8
RUN = 4  # words in a row, by which texts are compared
MOST_BYTES = 400_000  # larger files are generated, and slow to parse
_SKIPPED = {"test", "tests", "testing", "_vendor", "vendor", "__pycache__", "idle_test"}
_WORD = re.compile(r"[^\W\d_]+")


def read_docstrings() -> Splits:
    """Reads the corpus; packages that are not installed are left out.

    A text that mostly repeats others, compared by its words alone, is left out, so that no text
    is in two parts, and boilerplate does not give a package away.

    Raises:
      UserError: fewer than two packages can be read.
    """
    texts: list[str] = []
    labels: list[str] = []
    seen: set[str] = set()
    roots = {label: _package_roots(names) for label, names in PACKAGES.items()}
    roots[STANDARD_LIBRARY] = _standard_roots()
    for label in sorted(roots):
        found = _texts(roots[label], seen)
        texts += found
        labels += [label] * len(found)
    origin = "the docstrings of installed packages"
    if len(set(labels)) < 2:
        raise UserError(
            f"{origin} cannot be read: {len(set(labels))} packages have source files here; "
            "give texts of your own with --data.source"
        )
    description = f"{len(texts):,} docstrings of {len(set(labels))} packages installed here"
    return Splits("docstrings", description, Rows(texts, labels, origin))


def _texts(roots: list[Path], seen: set[str]) -> list[str]:
    """Returns the new texts under `roots`: most of their runs of words are not yet in `seen`.

    All runs found are added to `seen`.
    Files are taken in the order of a hash of their names, so that the cap, once reached, has not
    taken all from one corner of the package.
    """
    files = [(file.relative_to(root.parent), file) for root in roots for file in _files(root)]
    found: list[str] = []
    for _, file in sorted(files, key=lambda pair: _hash(pair[0].as_posix())):
        for docstring in _docstrings(file):
            text = prose(docstring)
            words = _WORD.findall(text.lower())
            if min(len(words), len(text.split())) < LEAST_WORDS:  # or it is a path
                continue
            runs = {" ".join(words[i : i + RUN]) for i in range(len(words) - RUN + 1)}
            is_new = 2 * len(runs - seen) > len(runs)
            seen |= runs
            if is_new:
                found.append(text)
                if len(found) == MOST_TEXTS:
                    return found
    return found


def _package_roots(names: Iterable[str]) -> list[Path]:
    """Returns the folders of top-level packages, found without importing them."""
    roots: list[Path] = []
    for name in names:
        try:
            spec = importlib.util.find_spec(name)
        except (ImportError, ValueError):
            continue
        if spec is not None:
            roots += [Path(place) for place in spec.submodule_search_locations or ()]
    return [root for root in roots if root.is_dir()]


def _standard_roots() -> list[Path]:
    library = Path(sysconfig.get_path("stdlib"))
    places = (library / name for name in STANDARD_MODULES)
    found = (place if place.is_dir() else place.with_suffix(".py") for place in places)
    return [root for root in found if root.exists()]


def _files(root: Path) -> Iterator[Path]:
    if root.is_file():
        yield root
        return
    for file in root.rglob("*.py"):
        inside = file.relative_to(root)
        tested = file.name.startswith(("test_", "conftest")) or file.name.endswith("_test.py")
        if not tested and _SKIPPED.isdisjoint(inside.parts):
            yield file


def _docstrings(file: Path) -> Iterator[str]:
    try:
        source = file.read_bytes()
        if len(source) > MOST_BYTES:
            return
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of the parsed file, not of ours
            tree = ast.parse(source)
    except (OSError, SyntaxError, ValueError, RecursionError):
        return
    yield from _documented(tree)


def _documented(
    node: ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef,
) -> Iterator[str]:
    docstring = ast.get_docstring(node)
    if docstring:
        yield docstring
    if isinstance(node, ast.Module | ast.ClassDef):
        for child in node.body:
            if isinstance(child, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
                yield from _documented(child)


def _hash(name: str) -> bytes:
    return hashlib.sha256(name.encode()).digest()
