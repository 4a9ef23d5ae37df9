"""What the trainings of these tests share."""

from __future__ import annotations

import pytest

from tests.faults.runs import Place, write_texts


@pytest.fixture(scope="session")
def place(tmp_path_factory: pytest.TempPathFactory) -> Place:
    """A place with texts, whose cache of compiled programs all trainings use."""
    folder = tmp_path_factory.mktemp("place")
    write_texts(folder / "texts.jsonl")
    return Place(folder)
