"""The prose of docstrings."""

import inspect

import pytest

from wave_jax.data.prose import prose

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
    assert prose(inspect.cleandoc(docstring)) == expected
