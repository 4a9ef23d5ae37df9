"""The cache of token arrays: whole entries or none, and broken ones made anew."""

import errno
import json
import os
import subprocess
import sys
import time

import numpy as np
import pytest

from wave_jax.data.cache import ArrayCache, default_cache_dir
from wave_jax.data.tokens import texts_digest

ARRAYS = {"ids": np.arange(1000, dtype=np.int32), "cut": np.array(3), "none": np.zeros(0)}


def never():
    raise AssertionError("made although it was kept")


@pytest.fixture
def said():
    return []


@pytest.fixture
def cache(tmp_path, said):
    cache = ArrayCache(tmp_path / "cache", said.append)
    cache.fetch("key", lambda: ARRAYS)
    return cache


def check(found):
    assert sorted(found) == sorted(ARRAYS)
    for name, array in ARRAYS.items():
        np.testing.assert_array_equal(found[name], array)
        assert found[name].dtype == array.dtype


def test_arrays_come_back(cache, said, tmp_path):
    check(cache.fetch("key", never))
    assert said == []
    assert [entry.name for entry in (tmp_path / "cache").iterdir()] == ["key"]
    assert cache.fetch("other", lambda: {"a": np.ones(2)})["a"].tolist() == [1, 1]


def truncate(entry):
    os.truncate(entry / "ids.npy", 1500)


def flip(entry):
    content = bytearray((entry / "ids.npy").read_bytes())
    content[-7] ^= 1
    (entry / "ids.npy").write_bytes(content)


def empty(entry):
    (entry / "ids.npy").write_bytes(b"")


def lose(entry):
    (entry / "ids.npy").unlink()


def lose_meta(entry):
    (entry / "meta.json").unlink()


def spoil_meta(entry):
    (entry / "meta.json").write_text("[1]")


def forget(entry):
    (entry / "meta.json").write_text("{}")


def pickled(entry):
    np.save(entry / "ids.npy", np.array([{}], object), allow_pickle=True)


def replaced(entry):
    for file in entry.iterdir():
        file.unlink()
    entry.rmdir()
    entry.write_text("a file")


@pytest.mark.parametrize(
    "damage",
    [truncate, flip, empty, lose, lose_meta, spoil_meta, forget, pickled, replaced],
)
def test_broken_entries_are_noticed_and_made_anew(cache, said, tmp_path, damage):
    damage(tmp_path / "cache" / "key")
    check(cache.fetch("key", lambda: ARRAYS))
    assert len(said) == 1
    assert "is broken" in said[0]
    check(cache.fetch("key", never))
    assert [entry.name for entry in (tmp_path / "cache").iterdir()] == ["key"]


def test_a_place_that_cannot_be_written_costs_one_line(tmp_path, said):
    (tmp_path / "file").write_text("")
    cache = ArrayCache(tmp_path / "file" / "cache", said.append)
    check(cache.fetch("key", lambda: ARRAYS))
    assert len(said) == 1
    assert "cannot keep" in said[0]
    assert "\n" not in said[0]
    check(ArrayCache(None, said.append).fetch("key", lambda: ARRAYS))
    assert len(said) == 1


def test_an_error_in_making_leaves_nothing(tmp_path):
    with pytest.raises(AssertionError):
        ArrayCache(tmp_path).fetch("key", never)
    assert list(tmp_path.iterdir()) == []


def test_old_leftovers_of_killed_processes_go(tmp_path):
    for name, age in (("old", 2 * 86400), ("new", 10)):
        part = tmp_path / f".part-{name}"
        part.mkdir()
        os.utime(part, (time.time() - age,) * 2)
    ArrayCache(tmp_path).fetch("key", lambda: ARRAYS)
    assert sorted(entry.name for entry in tmp_path.iterdir()) == [".part-new", "key"]


def test_a_disk_that_fills_up_leaves_no_half_entry(tmp_path, said, monkeypatch):
    save, saved = np.save, []

    def full(path, array, **options):
        saved.append(path)
        if len(saved) == 2:
            raise OSError(errno.ENOSPC, "No space left on device")
        save(path, array, **options)

    monkeypatch.setattr(np, "save", full)
    check(ArrayCache(tmp_path, said.append).fetch("key", lambda: ARRAYS))
    assert list(tmp_path.iterdir()) == []
    assert said == [f"cannot keep tokenised texts in {tmp_path}: No space left on device"]


WRITER = """
import sys
import numpy as np
from pathlib import Path
from wave_jax.data.cache import ArrayCache
folder, me, breaks = sys.argv[1], int(sys.argv[2]), sys.argv[3] == "breaks"
said = []
cache = ArrayCache(folder, said.append)
print("ready", flush=True)
sys.stdin.readline()
for turn in range(150):
    key = str(turn % 3) if breaks else str(turn)
    found = cache.fetch(key, lambda: {"a": np.full(50_000, int(key)), "b": np.arange(7)})
    assert (found["a"] == int(key)).all() and found["b"].tolist() == list(range(7))
    if breaks and turn % 5 == me:  # what the other one may be reading or replacing
        Path(folder, key, "b.npy").unlink(missing_ok=True)
assert breaks or not said, said
"""


@pytest.mark.parametrize("mode", ["breaks", "only writes"])
def test_processes_that_share_a_cache(tmp_path, mode):
    running = [
        subprocess.Popen(
            [sys.executable, "-c", WRITER, str(tmp_path), str(me), mode],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for me in (0, 1)
    ]
    for process in running:
        assert process.stdout.readline() == "ready\n"
    for process in running:
        process.stdin.write("go\n")
        process.stdin.flush()
    for process in running:
        _, errors = process.communicate(timeout=120)
        assert process.returncode == 0, errors
    for entry in tmp_path.iterdir():
        assert not entry.name.startswith(".part-")
        assert json.loads((entry / "meta.json").read_text()).keys() == {"a", "b"}


def test_the_default_place_follows_the_environment(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert default_cache_dir() == tmp_path / "wave_jax"
    monkeypatch.setenv("XDG_CACHE_HOME", "")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert default_cache_dir() == tmp_path / ".cache" / "wave_jax"


def test_digests_tell_texts_and_their_borders_apart():
    sets = [[], [""], ["", ""], ["ab"], ["a", "b"], ["a", "\0b"], ["a\0", "b"], ["\ud800"], ["é"]]
    assert len({texts_digest(texts) for texts in sets}) == len(sets)
    many = [f"text {i}" for i in range(20_000)]
    assert texts_digest(many) == texts_digest(tuple(many)) != texts_digest(many[:-1])
