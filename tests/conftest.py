"""What all tests share."""

import pytest
from hypothesis import settings

from tests.probe.browser import Browser, missing

# Makes golden files, with packages that the tests do without.
collect_ignore = ["golden/make_bert.py"]

# The same inputs every time: a change is judged by what it changes, not by what was drawn.
settings.register_profile("default", derandomize=True, deadline=None, database=None)
settings.load_profile("default")


@pytest.fixture(scope="module")
def browser():
    if missing():
        pytest.skip(f"needs {missing()}")
    with Browser() as opened:
        yield opened
