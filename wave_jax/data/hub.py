"""TensorFlow Datasets (TFDS), read as array_record files and so without TensorFlow."""

from __future__ import annotations

import contextlib
import importlib
import logging
import os
import pkgutil
import re
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import tensorflow_datasets as tfds
import tensorflow_datasets.core.download.downloader as downloader

from wave_jax.data.columns import Chosen, ColumnSpec, choose_columns
from wave_jax.data.rows import Errors, Rows, Where, encodable, join_pieces, label_text, told
from wave_jax.data.splits import Splits
from wave_jax.data.streams import user_path
from wave_jax.errors import UserError, listed, nearest, one_line

TASKS = ("ag_news_subset", "imdb_reviews", "glue/sst2", "yelp_polarity_reviews", "dbpedia14")
_NAME = re.compile(r"\w+(/[\w.-]+)?(:[\d.*]+)?")
# Builders that the automatic import, which stops at the first package it lacks, does not reach.
_MODULES = {
    "dbpedia14": "wave_jax.data.dbpedia",
    "yelp_polarity_reviews": "tensorflow_datasets.text.yelp_polarity",
}
_RETRIES = (
    4  # TFDS's own 10, each wait twice the last, take minutes to find that there is no network
)


def read_tfds(
    name: str, wanted: ColumnSpec, errors: Errors, *, folder: str | None, manual_folder: str | None
) -> Splits:
    """Reads the data set `name` ('imdb_reviews', 'glue/sst2', 'trec:1.0.0', ...).

    What is already prepared in `folder` is read as it is; the rest is downloaded and prepared
    there. Where the test labels are withheld (-1), validation serves as the test. Splits other
    than train, validation and test are ignored.

    Args:
      name: name, and where wanted configuration and version, as TFDS spells them.
      wanted: the columns asked for; `names` is not used.
      errors: what happens to bytes that are not UTF-8.
      folder: TFDS's data folder; by default TFDS_DATA_DIR, else ~/tensorflow_datasets.
      manual_folder: where archives fetched by hand are; by default `downloads/manual` in `folder`.

    Raises:
      UserError: no such data set, no network, prepared in another format, or unusable features.
    """
    if not _NAME.fullmatch(name):
        raise UserError(f"tfds:{name} is not the name of a TFDS data set, such as tfds:glue/sst2")
    place = folder or os.environ.get("TFDS_DATA_DIR") or "~/tensorflow_datasets"
    data_dir = user_path(place).absolute()
    builder = _prepared(name, data_dir) or _prepare(name, data_dir, manual_folder, wanted)
    origin = f"tfds:{name}"
    columns = _columns(builder, origin)
    chosen = choose_columns(columns, wanted, origin, header=False)
    splits = {
        split: builder.info.splits[split].num_examples
        for split in ("train", "validation", "test")
        if split in builder.info.splits
    }
    if not splits.get("train"):
        raise UserError(f"{origin} has no training split, only {sorted(builder.info.splits)}")
    settings = (chosen, wanted, errors, origin)
    read = {split: _read_split(builder, split, *settings) for split, n in splits.items() if n}
    train = read["train"]
    if train is None:
        hint = "--data.on-unlabelled skip leaves them out"
        raise UserError(f"{origin}: its training split has rows without a label; {hint}")
    validation, test = read.get("validation"), read.get("test")
    if test is None:
        validation, test = None, validation
    sizes = ", ".join(f"{split} {count:,}" for split, count in splits.items())
    description = f"{builder.info.full_name}: {sizes}{told(*filter(None, read.values()))}"
    return Splits(origin, description, train, validation, test, train.names)


def _read_split(
    builder: Any, split: str, chosen: Chosen, wanted: ColumnSpec, errors: Errors, origin: str
) -> Rows | None:
    """Reads a split; None where its labels are withheld."""
    assert chosen.label is not None
    columns = _columns(builder, origin)
    texts = [columns[i] for i in chosen.text]
    label = columns[chosen.label]
    names = getattr(builder.info.features[label], "names", None)
    named, said = tuple(names) if names else None, chosen.described(columns)
    rows, skipped = Rows([], [], f"{origin}, {split}", named, columns=said), 0
    for row, example in enumerate(_examples(builder, split, origin), 1):
        where = Where(rows.origin, row)
        pieces = [_text(example[column], column, where, errors) for column in texts]
        value = example[label]
        if names and int(value) < 0:
            if wanted.unlabelled != "skip":
                return None
            skipped += 1
            continue
        rows.texts.append(join_pieces(pieces))
        rows.labels.append(names[int(value)] if names else _label(value, where, errors))
    return replace(rows, skipped=skipped) if rows.texts else None


def _examples(builder: Any, split: str, origin: str) -> Iterator[dict[str, Any]]:
    try:
        source = builder.as_data_source(split=split)
    except (NotImplementedError, ValueError, ImportError) as error:
        kind = getattr(builder.info.file_format, "value", builder.info.file_format)
        raise UserError(
            f"{origin} is prepared in {builder.info.data_dir} as {kind}, which cannot be read "
            "without TensorFlow: prepare it as array_record in another folder, with "
            f"--data.tfds-dir ({one_line(error)})"
        ) from error
    for index in range(len(source)):
        yield source[index]


def _columns(builder: Any, origin: str) -> list[str]:
    features = builder.info.features
    if not isinstance(features, tfds.features.FeaturesDict):
        raise UserError(f"{origin} has no named features, but {type(features).__name__} alone")
    return list(features.keys())


def _text(value: Any, column: str, where: Where, errors: Errors) -> str:
    if isinstance(value, str):
        return value
    if not isinstance(value, bytes):
        raise UserError(f"{where}: {column!r} holds {type(value).__name__}, expected a text")
    handler = "surrogateescape" if errors == "strict" else "replace"
    return encodable(value.decode("utf-8", handler), errors, where)


def _label(value: Any, where: Where, errors: Errors) -> str:
    if isinstance(value, bytes):
        value = _text(value, "label", where, errors)
    return label_text(value.item() if hasattr(value, "item") else value, where)


def _prepared(name: str, data_dir: Path) -> Any:
    """Returns a builder over files already in `data_dir`, its code need not be known; or None."""
    _import_builder(name)
    try:
        return tfds.core.read_only_builder.builder_from_files(name, data_dir=str(data_dir))
    except (ValueError, AssertionError):  # DatasetNotFoundError is a ValueError
        return None


def _prepare(name: str, data_dir: Path, manual_folder: str | None, wanted: ColumnSpec) -> Any:
    """Downloads and prepares a data set, after a look at whether its features will do."""
    builder = _builder(name, data_dir)
    choose_columns(_columns(builder, f"tfds:{name}"), wanted, f"tfds:{name}", header=False)
    manual = user_path(manual_folder or str(data_dir / "downloads" / "manual")).absolute()
    instructions = builder.MANUAL_DOWNLOAD_INSTRUCTIONS
    if instructions and not (manual.is_dir() and any(manual.iterdir())):
        raise UserError(
            f"tfds:{name} is made from files fetched by hand, and {manual} holds none; name their "
            f"folder with --data.tfds-manual-dir. {' '.join(instructions.split())}"
        )
    config = tfds.download.DownloadConfig(
        try_download_gcs=False, manual_dir=str(manual) if instructions else None
    )
    try:
        with _quietly():
            builder.download_and_prepare(download_config=config)
    except UserError:
        raise
    except Exception as error:  # whatever the network, the host, the disk and the builder raise
        request = getattr(error, "request", None)
        reason = f"{type(error).__name__}: {one_line(error)}"
        if isinstance(error, OSError) and request is not None:  # all of the package requests' are
            reason = f"no connection to {request.url}"
        raise UserError(
            f"tfds:{name} is not in {data_dir} and could not be prepared there ({reason}); "
            "without a network, give local files with --data.source PATH, or a folder where it "
            "is prepared with --data.tfds-dir"
        ) from error
    return builder


def _builder(name: str, data_dir: Path) -> Any:
    base, _, config = name.partition(":")[0].partition("/")
    try:
        configs = list(tfds.builder_cls(base).builder_configs)
    except tfds.core.DatasetNotFoundError:
        raise UserError(
            f"TFDS has no data set {base!r} that can be read here{_near(name)} "
            f"(made for this task: {listed(TASKS)})"
        ) from None
    if config and config not in configs:
        there = f"; it has {listed(configs)}" if configs else ""
        raise UserError(
            f"tfds:{base} has no configuration {config!r}{nearest(config, configs)}{there}"
        )
    try:
        return tfds.builder(name, data_dir=str(data_dir), file_format="array_record")
    except Exception as error:  # an unknown version, or code that needs TensorFlow
        raise UserError(f"tfds:{name}: {one_line(error)}") from error


def _import_builder(name: str) -> None:
    base = re.split("[/:]", name)[0]
    for module in (_MODULES.get(base), f"tensorflow_datasets.text.{base}"):
        if module is not None:
            with contextlib.suppress(ImportError):
                importlib.import_module(module)


def _near(name: str) -> str:
    """Names a similar data set: of those made for our task first."""
    begun = [known for known in TASKS if known.startswith(name)]
    if begun:
        return f", did you mean {begun[0]!r}?"
    text = importlib.import_module("tensorflow_datasets.text")
    packages = [module.name for module in pkgutil.iter_modules(text.__path__) if module.ispkg]
    registered = tfds.list_builders(with_community_datasets=False)
    return nearest(name, TASKS) or nearest(name, [*packages, *registered])


@contextlib.contextmanager
def _quietly() -> Iterator[None]:
    """Keeps TFDS's lines out of standard output, and its patience within seconds."""
    logging.getLogger("urllib3.connectionpool").setLevel(logging.ERROR)
    if not sys.stderr.isatty():
        tfds.disable_progress_bar()
    retries, downloader.MAX_RETRIES = downloader.MAX_RETRIES, _RETRIES
    try:
        with contextlib.redirect_stdout(sys.stderr):
            yield
    finally:
        downloader.MAX_RETRIES = retries
