"""The built-in data set, and the prose of docstrings."""

import inspect
import re
import sys
from collections import Counter

import pytest

from wave_jax.data.config import DataConfig
from wave_jax.data.dataset import load_dataset
from wave_jax.data.sources import docstrings
from wave_jax.errors import UserError


@pytest.fixture(scope="module")
def dataset():
    return load_dataset(DataConfig())


def test_it_is_balanced_enough_and_imports_nothing(dataset):
    counts = Counter(dataset.train.labels.tolist())
    assert len(dataset.label_names) >= 8
    assert 4_000 <= len(dataset.train) <= 9_000
    assert max(counts.values()) <= 0.25 * len(dataset.train)
    assert min(counts.values()) >= 0.01 * len(dataset.train)
    assert dataset.snapshot
    assert "tensorflow" not in sys.modules


def test_no_text_is_in_two_parts(dataset):
    def keys(split):
        return [" ".join(re.findall(r"\w+", text.lower())) for text in split.texts]

    everything = [*keys(dataset.train), *keys(dataset.validation), *keys(dataset.test)]
    assert len(set(everything)) == len(everything)


def test_texts_are_prose(dataset):
    joined = "\n".join(dataset.train.texts)
    assert joined.count("\n") == len(dataset.train) - 1
    assert not re.search("(?<!-)>>>", joined)  # pytest draws an arrow that ends like this
    ruled = sum("-----" in text for text in dataset.train.texts)
    assert ruled <= 5  # bars of formulas; not the rules of thousands of headings
    assert min(len(text.split()) for text in dataset.train.texts) >= 8


def test_it_is_the_same_again(monkeypatch):
    monkeypatch.setattr(docstrings, "PACKAGES", ("optax", "rich"))
    monkeypatch.setattr(docstrings, "STANDARD_MODULES", ("email", "json"))
    first = load_dataset(DataConfig())
    assert first.label_names == ("optax", "python", "rich")
    assert load_dataset(DataConfig()).fingerprint == first.fingerprint


def write(folder, name, source):
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(source.encode() if isinstance(source, str) else source)


def test_packages_that_are_missing_or_broken_are_left_out(tmp_path, monkeypatch):
    sea = "Waves roll in from the open sea at night."
    texts = {
        "alpha": [sea, "Two waves meet, and where they do the water stands still."],
        "beta": ["Roots of an old tree may reach deeper than it is tall.", "Too short to keep."],
    }
    for package, stories in texts.items():
        for i, story in enumerate(stories):
            write(tmp_path / package, f"m{i}.py", f'"""{story}"""\nraise SystemExit\n')
    odd = "An escape that Python warns of is no reason to drop \\d this text."
    write(tmp_path / "beta", "odd.py", f'"""{odd}"""')
    write(tmp_path / "alpha", "broken.py", "def (")
    write(tmp_path / "alpha", "binary.py", b"\x00\xff")
    write(
        tmp_path / "alpha", "tests/m.py", '"""A test\'s text that nobody should ever get to see."""'
    )
    write(tmp_path / "beta", "copy.py", f'"""{sea.upper()}"""')
    monkeypatch.syspath_prepend(str(tmp_path))
    packages = ("alpha", "beta", "no_such_package")
    monkeypatch.setattr(docstrings, "PACKAGES", packages)
    monkeypatch.setattr(docstrings, "STANDARD_MODULES", ())
    table = docstrings.read_docstrings()[0]["train"]
    assert sorted(zip(table.labels, table.texts, strict=True)) == [
        ("alpha", texts["alpha"][1]),
        ("alpha", sea),
        ("beta", odd),
        ("beta", texts["beta"][0]),
    ]
    monkeypatch.setattr(docstrings, "PACKAGES", ("alpha",))
    with pytest.raises(UserError, match=r"1 packages .*--data\.source"):
        docstrings.read_docstrings()


def test_the_list_holds_only_what_is_installed_here():
    """A module that leaves the standard library, or a package renamed, should be noticed."""
    names = {docstrings.STANDARD_LIBRARY: docstrings._standard_roots()} | {
        name: docstrings._package_roots(name) for name in docstrings.PACKAGES
    }
    assert all(names.values())
    found = {root.stem for root in names[docstrings.STANDARD_LIBRARY]}
    newer = {"_pydatetime"}  # Python 3.12
    assert set(docstrings.STANDARD_MODULES) - found <= newer


NUMPY = """
    Compute the arithmetic mean along the axis.

    Returns the average of the array elements. The average is taken over
    the flattened array by default.

    Parameters
    ----------
    a : array_like
        Array containing numbers whose mean is desired.

        A second paragraph of a parameter.

    Returns
    -------
    m : ndarray
        The mean.

    See Also
    --------
    average : Weighted average

    Notes
    -----
    In `single` precision the mean can be :ref:`inaccurate <precision-page>`.

    .. versionadded:: 1.0
       Some text.

    Examples
    --------
    >>> np.mean(a)
    2.5
"""

GOOGLE = """
    Runs the thing::

      thing.run(1)

    It may take long. For example:

    ```python
    run()
    ```

    See https://example.org/page for **more** on |waves|.

    Args:
      x: the first.
        continued
      y: the second.

    Returns:
      What came out.

    It ends here.
"""

SPHINX = """
    Sends a request to the server.

    +-----+-----+
    | a   | b   |
    +=====+=====+

    :param url: where
        it goes
    :rtype: int

    Then it waits.
    url : str
        An entry without a heading.
    >>> send()
    1

    And returns.
"""


@pytest.mark.parametrize(
    ("docstring", "expected"),
    [
        (
            NUMPY,
            "Compute the arithmetic mean along the axis. Returns the average of the array "
            "elements. The average is taken over the flattened array by default. In single "
            "precision the mean can be inaccurate.",
        ),
        (
            GOOGLE,
            "Runs the thing: It may take long. For example: See for more on waves. It ends here.",
        ),
        (SPHINX, "Sends a request to the server. Then it waits. And returns."),
        ("", ""),
        ("One line.", "One line."),
    ],
)
def test_prose(docstring, expected):
    assert docstrings.prose(inspect.cleandoc(docstring)) == expected
