"""What all tests share."""

from hypothesis import settings

# Makes golden files, with packages that the tests do without.
collect_ignore = ["golden/make_bert.py"]

# The same inputs every time: a change is judged by what it changes, not by what was drawn.
settings.register_profile("default", derandomize=True, deadline=None, database=None)
settings.load_profile("default")
