"""`--distributed`: wrong options are refused before anything waits for other processes."""

from __future__ import annotations

import socket

import pytest

from wave_jax.cli.train import Distributed, join_processes, read_arguments
from wave_jax.errors import UserError


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"coordinator": "localhost:1234"}, "needs --distributed.processes N"),
        ({"coordinator": "here", "processes": 2, "process": 0}, "expected HOST:PORT"),
        ({"auto": True, "timeout": 4}, "distributed.timeout is 4, expected 5 or more"),
        ({"auto": True, "wait": 4}, "distributed.wait is 4, expected 5 or more"),
        ({"processes": 0}, "distributed.processes is 0"),
        ({"processes": 2, "process": 2}, "distributed.process is 2, expected 0 to"),
    ],
)
def test_wrong_options(options, said):
    with pytest.raises(UserError, match=said), join_processes(Distributed(**options)):
        pytest.fail("it was joined")


def test_a_port_that_is_taken():
    with socket.create_server(("", 0)) as taken:
        where = f"localhost:{taken.getsockname()[1]}"
        options = Distributed(coordinator=where, processes=2, process=0)
        with pytest.raises(UserError, match="in use.*give another"), join_processes(options):
            pytest.fail("it was joined")


@pytest.mark.parametrize("flag", ["--distributed", "--distributed.auto"])
def test_the_flag_alone_finds_the_others(flag):
    where = ("--distributed.coordinator", "node:1234")
    found = read_arguments([flag, *where, "--seed", "1"], prog="train").distributed
    assert found == Distributed(auto=True, coordinator="node:1234")
