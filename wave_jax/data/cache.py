"""Arrays kept on disk between runs, so that a corpus is tokenised once."""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import os
import shutil
import time
import uuid
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np

Notice = Callable[[str], None]
"""Receives one line for the user."""

_META = "meta.json"
_PART = ".part-"
_STALE_SECONDS = 24 * 3600


def log_notice(line: str) -> None:
    """The default notice: a warning in the log of `wave_jax`."""
    logging.getLogger("wave_jax").warning(line)


def default_cache_dir() -> Path | None:
    """Returns wave_jax in the user's cache folder: $XDG_CACHE_HOME, else ~/.cache.

    None for a user without a home, as in some containers.
    """
    base = os.environ.get("XDG_CACHE_HOME", "")
    if os.path.isabs(base):
        return Path(base, "wave_jax")
    try:
        return Path.home() / ".cache" / "wave_jax"
    except RuntimeError:
        return None


class ArrayCache:
    """Named arrays under a key that says everything about how they were made.

    An entry is a folder of .npy files with their digests, written beside its place and then
    renamed, so that a reader sees a whole entry or none, whoever writes at the same time. An entry
    that does not match its digests is made anew. Where nothing can be written, nothing is kept,
    and one notice says so: a cache must not stop a run.
    """

    def __init__(self, folder: str | os.PathLike[str] | None, notice: Notice = log_notice) -> None:
        """Opens the cache in a folder, which need not exist; None keeps nothing."""
        self._folder = None if folder is None else Path(os.path.expanduser(folder))
        self._notice = notice

    def fetch(
        self, key: str, make: Callable[[], Mapping[str, np.ndarray]]
    ) -> Mapping[str, np.ndarray]:
        """Returns the arrays kept under `key`, mapped from disk, or makes and keeps them."""
        if self._folder is None:
            return make()
        entry = self._folder / key
        there = os.path.lexists(entry)  # before reading: one that appears after it is no broken one
        try:
            return _read(entry)
        except (OSError, ValueError, AttributeError, TypeError, EOFError) as error:
            if there and os.path.lexists(entry):
                self._discard(entry, str(error))
        arrays = make()
        self._write(entry, arrays)
        return arrays

    def _discard(self, entry: Path, reason: str) -> None:
        self._notice(f"cache entry {entry} is broken ({reason}); making it anew")
        aside = entry.with_name(_PART + uuid.uuid4().hex)
        try:
            entry.rename(aside)
        except OSError:  # another process was quicker, or the folder is read-only
            return
        _remove(aside)

    def _write(self, entry: Path, arrays: Mapping[str, np.ndarray]) -> None:
        part = entry.with_name(_PART + uuid.uuid4().hex)
        try:
            entry.parent.mkdir(parents=True, exist_ok=True)
            _sweep(entry.parent)
            part.mkdir()
            for name, array in arrays.items():
                np.save(part / f"{name}.npy", array, allow_pickle=False)
            described = {name: _digest(array) for name, array in arrays.items()}
            (part / _META).write_text(json.dumps(described))
            part.rename(entry)
        except OSError as error:
            if not os.path.exists(entry / _META):  # else another process has just written it
                reason = error.strerror or error
                self._notice(f"cannot keep tokenised texts in {entry.parent}: {reason}")
        finally:
            _remove(part)


def _read(entry: Path) -> dict[str, np.ndarray]:
    described = json.loads((entry / _META).read_text())
    arrays = {}
    for name, digest in described.items():
        array = np.load(entry / f"{name}.npy", mmap_mode="r", allow_pickle=False)
        arrays[name] = np.asarray(array)  # a plain view: indexing a memmap is slow
        if _digest(arrays[name]) != digest:
            raise ValueError(f"{name}.npy does not match its digest")
    if not arrays:
        raise ValueError("it names no arrays")
    return arrays


def _digest(array: np.ndarray) -> str:
    digest = hashlib.blake2b(f"{array.dtype.str}{array.shape}".encode(), digest_size=16)
    digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()


def _sweep(folder: Path) -> None:
    """Removes what killed processes left half written."""
    for part in folder.glob(_PART + "*"):
        try:
            if time.time() - part.stat().st_mtime > _STALE_SECONDS:
                _remove(part)
        except OSError:
            continue


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        with contextlib.suppress(OSError):
            path.unlink()
