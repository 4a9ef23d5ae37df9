"""A trained run as a page, from the command line."""

from __future__ import annotations

import re
from pathlib import Path

from .conftest import Command, Done, assert_refused


def test_a_page_that_runs_the_network(
    trained: tuple[Path, Done], command: Command, tmp_path: Path
) -> None:
    page = tmp_path / "demo.html"
    done = command("export", trained[0], page, "--format", "web")
    assert done.status == 0, done.err
    assert f"Written: {page}" in done.out
    assert re.search(r"labels of (100|9\d)\.\d+%", done.out)
    assert "a few of the run's test texts (--no-examples" in done.out
    written = page.read_bytes()
    assert written.startswith(b"<!doctype html>")
    assert_refused(command("export", trained[0], page, "--format", "web"), str(page))
    assert page.read_bytes() == written
    assert [path.name for path in tmp_path.iterdir()] == ["demo.html"]
    bare = tmp_path / "bare.html"
    done = command("export", trained[0], bare, "--format", "web", "--no-examples")
    assert (done.status, "test texts (--no" in done.out) == (0, False)
