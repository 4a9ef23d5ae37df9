"""TensorFlow Datasets (TFDS), read as array_record files and so without TensorFlow."""

from __future__ import annotations

import contextlib
import importlib
import logging
import os
import re
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import tensorflow_datasets as tfds
import tensorflow_datasets.core.download.downloader as downloader

from wave_jax.data.archives import open_files
from wave_jax.data.files import encodable, make_table
from wave_jax.data.formats import mapped_rows, read_delimited
from wave_jax.data.streams import user_path
from wave_jax.data.table import Columns, ColumnSpec, Table, choose_columns, remarks, row_name
from wave_jax.errors import UserError, listed, nearest, one_line

TASKS = ("ag_news_subset", "imdb_reviews", "glue/sst2", "yelp_polarity_reviews", "dbpedia14")
_NAME = re.compile(r"\w+(/[\w.-]+)?(:[\d.*]+)?")
_RETRIES = 4  # TFDS's own 10, each wait twice the last, take minutes to notice a missing network


def read_tfds(
    name: str, spec: ColumnSpec, folder: str | None, manual_folder: str | None
) -> tuple[dict[str, Table], str]:
    """Reads the data set `name` ('imdb_reviews', 'glue/sst2', 'trec:1.0.0', ...).

    A data set already prepared in `folder` is read as it is; others are downloaded and prepared
    there. Where the test labels are withheld (-1), validation serves as the test split. Returns the
    tables by split, and a description. Raises UserError: no such data set, no network, prepared in
    another format, or unusable features.
    """
    if not _NAME.fullmatch(name):
        raise UserError(f"tfds:{name} is not the name of a TFDS data set, such as tfds:glue/sst2")
    place = folder or os.environ.get("TFDS_DATA_DIR") or "~/tensorflow_datasets"
    data_dir = user_path(place).absolute()
    manual = user_path(manual_folder or str(data_dir / "downloads" / "manual")).absolute()
    builder = _prepared(name, data_dir) or _prepare(name, data_dir, manual, spec)
    origin, splits = f"tfds:{name}", builder.info.splits
    columns = _choose_columns(builder, spec, origin)
    sizes = {n: splits[n].num_examples for n in ("train", "validation", "test") if n in splits}
    if not sizes.get("train"):
        raise UserError(f"{origin} has no training split, only {sorted(splits)}")
    read = {n: _read_split(builder, n, columns, spec, origin) for n, size in sizes.items() if size}
    may_skip = spec.unlabelled == "skip"  # else a split has all its labels, or they are withheld
    tables = {n: t for n, t in read.items() if t.texts and (may_skip or not t.skipped)}
    if "train" not in tables:
        advice = "--data.on-unlabelled skip leaves them out"
        raise UserError(f"{origin}: its training split has rows without a label; {advice}")
    counts = ", ".join(f"{split} {count:,}" for split, count in sizes.items())
    description = f"{builder.info.full_name}: {counts}{remarks(*tables.values())}"
    if "test" not in tables and "validation" in tables:
        tables["test"] = tables.pop("validation")
    return tables, description


class Dbpedia14(tfds.core.GeneratorBasedBuilder):
    """The 14 ontology classes of Zhang et al. (2015), from the original archive; TFDS lacks it."""

    VERSION = tfds.core.Version("1.0.0")
    RELEASE_NOTES = {"1.0.0": "First release."}  # noqa: RUF012 - TFDS's own spelling
    MANUAL_DOWNLOAD_INSTRUCTIONS = (
        "Put the original dbpedia_csv.tar.gz of Zhang et al. (2015), or its folder dbpedia_csv, "
        "there, or name the folder that holds it with --data.tfds-manual-dir"
    )
    CLASSES = (
        *("Company", "EducationalInstitution", "Artist", "Athlete", "OfficeHolder"),
        *("MeanOfTransportation", "Building", "NaturalPlace", "Village", "Animal", "Plant"),
        *("Album", "Film", "WrittenWork"),
    )

    def _info(self) -> tfds.core.DatasetInfo:
        text, label = tfds.features.Text(), tfds.features.ClassLabel(names=list(self.CLASSES))
        return tfds.core.DatasetInfo(
            builder=self,
            description="DBpedia ontology classification, 14 classes.",
            features=tfds.features.FeaturesDict({"title": text, "content": text, "label": label}),
            homepage="https://arxiv.org/abs/1509.01626",
        )

    def _split_generators(self, dl_manager: tfds.download.DownloadManager) -> dict[str, Any]:
        folder = Path(dl_manager.manual_dir)
        names = (f"dbpedia_csv{suffix}" for suffix in ("", ".tar.gz", ".tgz", ".tar"))
        place = next((folder / name for name in names if (folder / name).exists()), folder)
        if place == folder and not (folder / "train.csv").is_file():
            raise UserError(f"{folder} holds no dbpedia_csv. {self.MANUAL_DOWNLOAD_INSTRUCTIONS}")
        return {split: self._generate_examples(place, split) for split in ("train", "test")}

    def _generate_examples(self, place: Path, split: str) -> Iterator[tuple[int, dict[str, Any]]]:
        spec = ColumnSpec(("title", "content"), "label", ("label", "title", "content"))
        numbers = [str(number) for number in range(1, len(self.CLASSES) + 1)]
        with open_files(place) as files:
            found = [files[name] for name in files if Path(name).name == f"{split}.csv"]
            if not found:
                raise UserError(f"{place.name} holds no {split}.csv")
            _, rows = read_delimited(found[0], spec, ",")
            for row, (where, texts, number, _) in enumerate(rows, 1):
                title, content = (encodable(str(t).strip(), "strict", where) for t in texts)
                if number not in numbers:
                    raise UserError(f"{where}: class {number!r}, expected 1 to {numbers[-1]}")
                yield row, {"title": title, "content": content, "label": int(number) - 1}


def _choose_columns(builder: Any, spec: ColumnSpec, origin: str) -> Columns:
    features = builder.info.features
    if not isinstance(features, tfds.features.FeaturesDict):
        raise UserError(f"{origin} has no named features, only {type(features).__name__}")
    columns = choose_columns(list(features.keys()), spec, origin)
    names = getattr(features[columns.label], "names", None)
    return replace(columns, classes=tuple(names) if names else None)


def _read_split(builder: Any, split: str, columns: Columns, spec: ColumnSpec, name: str) -> Table:
    try:
        examples = builder.as_data_source(split=split)
    except (NotImplementedError, ValueError, ImportError) as error:
        kind = getattr(builder.info.file_format, "value", builder.info.file_format)
        what = f"{builder.info.data_dir} was prepared as {kind}, not readable without TensorFlow"
        advice = "prepare it as array_record in another folder, with --data.tfds-dir"
        raise UserError(f"{what}: {advice} ({one_line(error)})") from error
    origin = f"{name}, {split}"
    records = ((row_name(origin, i + 1), examples[i]) for i in range(len(examples)))
    rows = mapped_rows(columns, records)
    return make_table(columns, rows, replace(spec, unlabelled="skip"), origin)


def _prepared(name: str, data_dir: Path) -> Any:
    """Returns a builder over files already in `data_dir`, whose code may be unknown; or None."""
    module = re.split("[/:]", name)[0].replace("yelp_polarity_reviews", "yelp_polarity")
    with contextlib.suppress(ImportError):  # TFDS's own import stops at the first missing package
        importlib.import_module(f"tensorflow_datasets.text.{module}")
    try:
        return tfds.core.read_only_builder.builder_from_files(name, data_dir=str(data_dir))
    except (ValueError, AssertionError):  # DatasetNotFoundError is a ValueError
        return None


def _prepare(name: str, data_dir: Path, manual: Path, spec: ColumnSpec) -> Any:
    """Downloads and prepares a data set, after checking that its features can be used."""
    base, _, config = name.partition(":")[0].partition("/")
    try:
        configs = list(tfds.builder_cls(base).builder_configs)
        known = not config or config in configs
        if known:
            builder = tfds.builder(name, data_dir=str(data_dir), file_format="array_record")
    except tfds.core.DatasetNotFoundError:
        near = f"{nearest(name, TASKS)} (tested: {listed(TASKS)})"
        raise UserError(f"TFDS has no data set {name!r} that can be read here{near}") from None
    except Exception as error:  # an unknown version, or code that needs TensorFlow
        raise UserError(f"tfds:{name}: {one_line(error)}") from error
    if not known:
        near = f"{nearest(config, configs)}; it has {listed(configs)}"
        raise UserError(f"tfds:{base} has no configuration {config!r}{near}")
    _choose_columns(builder, spec, f"tfds:{name}")
    downloader.MAX_RETRIES = _RETRIES
    logging.getLogger("urllib3.connectionpool").setLevel(logging.ERROR)
    if not sys.stderr.isatty():
        tfds.disable_progress_bar()
    options = tfds.download.DownloadConfig(try_download_gcs=False, manual_dir=str(manual))
    try:
        with contextlib.redirect_stdout(sys.stderr):
            builder.download_and_prepare(download_config=options)
    except UserError:
        raise
    except Exception as error:  # whatever the network, the host, the disk and the builder raise
        request = getattr(error, "request", None)
        reason = f"{type(error).__name__}: {one_line(error, 500)}"
        if isinstance(error, OSError) and request is not None:  # an error of `requests`
            reason = f"no connection to {request.url}"
        what = f"tfds:{name} is not in {data_dir} and could not be prepared there ({reason})"
        advice = "give local files with --data.source PATH, or where it is with --data.tfds-dir"
        raise UserError(f"{what}; without a network, {advice}") from error
    return builder
