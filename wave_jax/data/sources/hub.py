"""What Hugging Face's hub has, or its cache where there is no network: data sets and models."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from glob import escape
from itertools import chain
from pathlib import Path
from typing import Any

from wave_jax.data.config import HUB
from wave_jax.data.files import read_source
from wave_jax.data.formats import FORMATS
from wave_jax.data.layouts import CLASSES, LABELS, find_layout
from wave_jax.data.streams import COMPRESSED
from wave_jax.data.table import ColumnSpec, Table
from wave_jax.errors import UserError, one_line

_MODEL_FILES = ["config.json", "tokenizer.json", "ngrams.npz", "model.safetensors"]
_ENDINGS = [f"{suffix}{end}" for suffix in (*FORMATS, ".txt") for end in ("", *COMPRESSED)]


def read_hub(name: str, spec: ColumnSpec) -> tuple[dict[str, Table], str]:
    """Reads the data set OWNER/NAME, or OWNER/NAME/FOLDER where it has several.

    Only the files that are read are downloaded, and none is executed. Returns the tables by split,
    and a description that names the commit. Raises UserError: no such data set, neither network nor
    cache has it, or its files cannot be used.
    """
    parts = name.split("/")
    repository, folder = "/".join(parts[:2]), "/".join(parts[2:])
    snapshot = _download(repository, folder)
    tables, description = read_source(place := snapshot / folder, spec)
    return tables, description.replace(str(place), f"hf:{name} (commit {snapshot.name[:7]})", 1)


def locate(model: str | Path, check: Callable[[Path], object]) -> Path:
    """Returns the folder of a run or model, of hf:OWNER/NAME[@REVISION] that in the cache.

    `check` gets the folder with config.json before the rest is downloaded; UserError without any.
    """
    if not (name := str(model)).startswith(HUB):
        return Path(model)
    repository, at, revision = name.removeprefix(HUB).partition("@")
    if repository.count("/") != 1 or bool(at) != bool(revision):
        raise UserError(f"{name}: expected hf:OWNER/NAME or hf:OWNER/NAME@REVISION")
    with _reaching(name, "model", "the folder of a run or of an exported model") as hub:
        fetch = partial(hub.snapshot_download, repository, revision=revision or None)
        check(Path(fetch(allow_patterns=_MODEL_FILES[:1])))
        return Path(fetch(allow_patterns=_MODEL_FILES))


def _download(repository: str, folder: str) -> Path:
    """Returns the folder in the cache that holds the newest commit, or else the one known."""
    prefix, names = f"{folder}/" if folder else "", []
    patterns = [f"{prefix}*{ending}" for ending in _ENDINGS]
    advice = "local files with --data.source PATH"
    with _reaching(f"hf:{repository}", "data set", advice) as hub:
        with suppress(Exception):  # which the download meets, too, unless the cache serves
            names = [file.rfilename for file in hub.dataset_info(repository).siblings or ()]
        if within := [name.removeprefix(prefix) for name in names if name.startswith(prefix)]:
            layout = find_layout(f"hf:{repository}", within)  # or says why not before that
            files = {escape(prefix + file) for file in chain(*layout.splits.values())}
            if layout.class_folders:  # whose files may be too many for patterns
                files = {f"{file.rpartition('/')[0]}/*" for file in files}
            beside = (escape(f"{prefix}{layout.folder / file}") for file in (CLASSES, LABELS))
            patterns = [*files, *beside]
        return Path(hub.snapshot_download(repository, repo_type="dataset", allow_patterns=patterns))


@contextmanager
def _reaching(name: str, kind: str, advice: str) -> Iterator[Any]:
    """Yields the package of the hub; what goes wrong with it becomes a UserError."""
    try:
        import huggingface_hub as hub
        from huggingface_hub.constants import HF_HUB_CACHE
        from huggingface_hub.errors import LocalEntryNotFoundError, RepositoryNotFoundError
        from huggingface_hub.utils import disable_progress_bars
    except ImportError:
        raise UserError(f"{name} needs 'pip install huggingface_hub'") from None
    if not sys.stderr.isatty():
        disable_progress_bars()
    try:
        yield hub
    except RepositoryNotFoundError:
        raise UserError(f"{name} is no {kind} of the hub (hf:OWNER/NAME), or private") from None
    except LocalEntryNotFoundError as error:
        what = f"{name} is not in {HF_HUB_CACHE}, and there is no network"
        raise UserError(f"{what}: give {advice}") from error
    except UserError:
        raise
    except Exception as error:  # whatever else the hub, the network and the disk give
        reason = f"{type(error).__name__}: {one_line(error)}"
        raise UserError(f"{name} cannot be downloaded ({reason})") from error
