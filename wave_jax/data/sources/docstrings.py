"""The built-in data set: prose of docstrings, to be classified by package.

Read at run time from the source files of Python's library and of packages that wave_jax uses:
parsed, never imported. Offline, and always the same on one machine.
"""

from __future__ import annotations

import ast
import hashlib
import importlib.util
import itertools
import math
import re
import sysconfig
import warnings
from collections.abc import Iterable, Iterator
from pathlib import Path

from wave_jax.data.table import Table
from wave_jax.errors import UserError

# Top-level packages, each a class; run-time dependencies only, so that every installation has them
PACKAGES = (
    *("flax", "jax", "matplotlib", "numpy", "optax", "orbax", "pyarrow", "rich", "scipy"),
    "tensorflow_datasets",
)
# Modules of the standard library that every supported version of Python has.
STANDARD_LIBRARY = "python"
STANDARD_MODULES = """
    argparse ast asyncio bdb calendar codecs collections concurrent configparser contextlib csv
    ctypes datetime _pydatetime _pydecimal difflib doctest email enum fractions ftplib functools
    gettext gzip heapq html http imaplib importlib inspect ipaddress json locale logging mailbox
    multiprocessing optparse os pathlib pdb pickle platform poplib pprint pydoc _pyio random re
    sched shelve shutil smtplib socket socketserver sqlite3 ssl statistics string subprocess tarfile
    tempfile textwrap threading timeit tokenize trace traceback types typing unittest urllib uuid
    warnings weakref xml xmlrpc zipfile zoneinfo
""".split()  # noqa: SIM905
MOST_TEXTS = 1_200  # of one class
LEAST_WORDS = 8
RUN = 4  # consecutive words by which texts are compared
MOST_BYTES = 400_000  # larger files are generated, and slow to parse
_SKIPPED = {"test", "tests", "testing", "_vendor", "vendor", "__pycache__", "idle_test"}
_DOCUMENTED = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef
_TEST_FILE = re.compile(r"(?:test_|conftest).*|.*_test\.py")
_WORD = re.compile(r"[^\W\d_]+")

# Sections that list names, values or code. They are dropped with their heading: up to the
# next heading in NumPy's style, up to the end of the indented block in Google's.
_LISTING = (
    "parameters|other parameters|args|arguments|keyword args|keyword arguments|kwargs|returns|"
    "return|yields|raises|attributes|methods|examples?|usage|see also|references|citations?|"
    "call arguments|inputs?|outputs?|attrs|fields|todo|receives|warns|class attributes"
)
_GOOGLE = re.compile(rf"\s*(?:{_LISTING})(?: usage)?\s*:\s*", re.IGNORECASE)
_HEADING = re.compile(rf"\s*(?:{_LISTING})\s*:?\s*", re.IGNORECASE)
_UNDERLINE = re.compile(r"\s*([-=~^*#+\"'])\1{2,}\s*")
_FIELD = re.compile(r"\s*[:@](?:param|arg|type|returns?|rtype|raises?|keyword|[ic]?var|yield)\b")
_DIRECTIVE = re.compile(r"\s*\.\. +[\w:.+-]+::|\s*\.\. +(?:_|\[)")
_ENTRY = re.compile(r"\s*\*{0,2}\w[\w, *]* : \S.*")
_CODE = re.compile(
    r"\s+(?:[\w.\[\]'\", ]+ [-+*/]?= \S.*|[\w.]+\(.*\)|(?:from|import|def|class|@)\b.*)"
)
_TABLE = re.compile(r"\s*[|+].*|[\s=+|:-]*|.*\s\|\s.*\s\|\s.*|\s*#+ .*|\s*[-*] +")
_ROLE = re.compile(r":[\w:.+-]+:`~?([^`<]*?)(?:\s*<[^`>]*>)?`")
_MARKS = re.compile(r"`+|\*\*|(?<!\w)\*(?=\w)|(?<=\w)\*(?!\w)|\|(?=\w)|(?<=\w)\|_?")
_LINK = re.compile(r"\[([^\]]*)\]\([^)]*\)|<?https?://\S+>?")


def read_docstrings() -> tuple[dict[str, Table], str]:
    """Reads the docstrings; packages that are not installed are left out.

    A text that mostly repeats others, compared by its words alone, is left out, so that no text
    is in two splits and boilerplate does not give a package away.
    """
    texts: list[str] = []
    labels: list[str] = []
    seen: set[str] = set()
    roots = {name: _package_roots(name) for name in PACKAGES}
    roots[STANDARD_LIBRARY] = _standard_roots()
    for label in sorted(roots):
        texts += itertools.islice(_new_texts(roots[label], seen), MOST_TEXTS)
        labels += [label] * (len(texts) - len(labels))
    origin, classes = "the docstrings of installed packages", len(set(labels))
    if classes < 2:
        found, advice = f"{classes} packages", "give texts of your own with --data.source"
        raise UserError(f"{origin} cannot be read: {found} have source files here; {advice}")
    description = f"{len(texts):,} docstrings of {classes} packages installed here"
    return {"train": Table(texts, labels, origin)}, description


def prose(docstring: str) -> str:
    """Returns the sentences of a docstring on one line; may be empty.

    >>> prose("Adds waves.\\n\\nSee :func:`~ops.real`.\\n\\nArgs:\\n  a: a wave.\\n>>> add(1)")
    'Adds waves. See ops.real.'
    """
    kept = _without_sections(_without_code(docstring.expandtabs().splitlines()))
    text = _LINK.sub(r"\1", " ".join(kept))
    return " ".join(_MARKS.sub("", _ROLE.sub(r"\1", text)).split())


def _new_texts(roots: list[Path], seen: set[str]) -> Iterator[str]:
    """Yields the texts most of whose runs of words are not in `seen`, and adds these to it.

    Files come in the order of a hash of their names, so that a package whose texts exceed the cap
    is sampled evenly.
    """
    names = {f: f.relative_to(root.parent).as_posix() for root in roots for f in _files(root)}
    for file in sorted(names, key=lambda file: hashlib.sha256(names[file].encode()).digest()):
        for docstring in _docstrings(file):
            text = prose(docstring)
            words = _WORD.findall(text.lower())
            if min(len(words), len(text.split())) < LEAST_WORDS:  # or it is a path
                continue
            runs = {" ".join(words[i : i + RUN]) for i in range(len(words) - RUN + 1)}
            is_new = 2 * len(runs - seen) > len(runs)
            seen |= runs
            if is_new:
                yield text


def _package_roots(name: str) -> list[Path]:
    """Returns the folders of a top-level package, without importing it."""
    spec = importlib.util.find_spec(name)
    places = map(Path, (spec and spec.submodule_search_locations) or ())
    return [place for place in places if place.is_dir()]


def _standard_roots() -> list[Path]:
    library = Path(sysconfig.get_path("stdlib"))
    places = (library / f"{name}{end}" for name in STANDARD_MODULES for end in ("", ".py"))
    return [place for place in places if place.exists()]


def _files(root: Path) -> list[Path]:
    files = [root] if root.is_file() else root.rglob("*.py")
    untested = (file for file in files if not _TEST_FILE.fullmatch(file.name))
    return [file for file in untested if _SKIPPED.isdisjoint(file.relative_to(root).parts)]


def _docstrings(file: Path) -> Iterator[str]:
    """Yields the docstrings of a module, its classes and their methods; none inside functions."""
    try:
        source = file.read_bytes()
        with warnings.catch_warnings(action="ignore"):  # of the parsed file, not of ours
            nodes: list[ast.AST] = [ast.parse(source if len(source) <= MOST_BYTES else "")]
    except (OSError, SyntaxError, ValueError, RecursionError):
        return
    while nodes:
        node = nodes.pop(0)
        if isinstance(node, _DOCUMENTED) and (docstring := ast.get_docstring(node)):
            yield docstring
        if isinstance(node, ast.Module | ast.ClassDef):
            nodes[:0] = node.body


def _without_code(lines: list[str]) -> Iterator[str]:
    """Drops fenced code, doctests with their output, directives and literal blocks."""
    block = math.inf  # lines indented by more than this belong to a dropped block
    fenced = doctest = False
    for line in lines:
        text, indent = line.strip(), len(line) - len(line.lstrip())
        if text.startswith(("```", "~~~")):
            fenced = not fenced
            continue
        if text and indent <= block:
            block = math.inf
        doctest = bool(text) and (doctest or text.startswith(">>>"))
        if fenced or doctest or block < math.inf:
            continue
        directive, literal = _DIRECTIVE.match(line), text.endswith("::")
        if directive or literal:
            block = indent
        if not directive:
            yield line.rstrip()[:-1] if literal else line


def _without_sections(lines: Iterable[str]) -> Iterator[str]:
    """Drops listing sections, headings, fields, tables and blank lines."""
    block = math.inf
    listing = False
    for line, following in itertools.pairwise([*lines, ""]):
        indent = len(line) - len(line.lstrip())
        if not line.strip():
            continue
        if _UNDERLINE.fullmatch(following):
            listing, block = _HEADING.fullmatch(line) is not None, math.inf
        elif listing or indent > block:
            continue
        elif _GOOGLE.fullmatch(line) or _FIELD.match(line) or _ENTRY.fullmatch(line):
            block = indent
        else:
            block = math.inf
            if not (_CODE.fullmatch(line) or _TABLE.fullmatch(line)):
                yield line
