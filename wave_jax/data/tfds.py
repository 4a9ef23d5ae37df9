"""TensorFlow Datasets (TFDS), read as array_record files and so without TensorFlow."""

from __future__ import annotations

import contextlib
import importlib
import logging
import os
import pkgutil
import re
import sys
import tarfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Any

import tensorflow_datasets as tfds
import tensorflow_datasets.core.download.downloader as downloader

from wave_jax.data.columns import Columns, ColumnSpec, choose_columns
from wave_jax.data.formats import Rows, csv_records
from wave_jax.data.streams import DECODE_ERRORS, Errors, Input, reading, user_path
from wave_jax.data.table import Row, Splits, Table, Where, clean_rows, encodable, remarks
from wave_jax.errors import UserError, listed, nearest, one_line

TASKS = ("ag_news_subset", "imdb_reviews", "glue/sst2", "yelp_polarity_reviews", "dbpedia14")
_NAME = re.compile(r"\w+(/[\w.-]+)?(:[\d.*]+)?")
# The automatic import, which stops at the first missing package, does not reach this builder
_MODULES = {"yelp_polarity_reviews": "yelp_polarity"}
_RETRIES = 4  # TFDS's own 10, each wait twice the last, take minutes to notice a missing network


def read_tfds(
    name: str, spec: ColumnSpec, errors: Errors, *, folder: str | None, manual_folder: str | None
) -> Splits:
    """Reads the data set `name` ('imdb_reviews', 'glue/sst2', 'trec:1.0.0', ...).

    A data set already prepared in `folder` is read as it is; others are downloaded and prepared
    there. Where the test labels are withheld (-1), validation serves as the test split. Splits
    other than train, validation and test are ignored.

    Args:
      name: name, and optionally configuration and version, as TFDS spells them.
      spec: the columns asked for; `names` is not used.
      errors: what to do with bytes that are not UTF-8.
      folder: TFDS's data folder; by default TFDS_DATA_DIR, else ~/tensorflow_datasets.
      manual_folder: where manually downloaded archives are; by default `downloads/manual` in
        `folder`.

    Raises:
      UserError: no such data set, no network, prepared in another format, or unusable features.
    """
    if not _NAME.fullmatch(name):
        raise UserError(f"tfds:{name} is not the name of a TFDS data set, such as tfds:glue/sst2")
    place = folder or os.environ.get("TFDS_DATA_DIR") or "~/tensorflow_datasets"
    data_dir = user_path(place).absolute()
    builder = _prepared(name, data_dir) or _prepare(name, data_dir, manual_folder, spec)
    origin, info = f"tfds:{name}", builder.info
    columns = choose_columns(_features(builder, origin), spec, origin)
    sizes = {
        split: info.splits[split].num_examples
        for split in ("train", "validation", "test")
        if split in info.splits
    }
    if not sizes.get("train"):
        raise UserError(f"{origin} has no training split, only {sorted(info.splits)}")
    read = {n: _read_split(builder, n, columns, spec, errors, origin) for n in sizes if sizes[n]}
    tables = {split: table for split, table in read.items() if table is not None}
    if "train" not in tables:
        hint = "--data.on-unlabelled skip leaves them out"
        raise UserError(f"{origin}: its training split has rows without a label; {hint}")
    counts = ", ".join(f"{split} {count:,}" for split, count in sizes.items())
    description = f"{info.full_name}: {counts}{remarks(*tables.values())}"
    if "test" not in tables and "validation" in tables:
        tables["test"] = tables.pop("validation")
    return Splits(origin, description, tables, _class_names(builder, columns))


class Dbpedia14(tfds.core.GeneratorBasedBuilder):
    """The 14 ontology classes of Zhang et al. (2015), 560,000 + 70,000 rows; TFDS lacks it.

    Reads the original archive, as a stream, or the folder that it holds, from TFDS's folder of
    manual downloads.
    """

    VERSION = tfds.core.Version("1.0.0")
    RELEASE_NOTES = {"1.0.0": "First release."}  # noqa: RUF012 - TFDS's own spelling
    MANUAL_DOWNLOAD_INSTRUCTIONS = (
        "Put the original dbpedia_csv.tar.gz of Zhang et al. (2015), or its folder dbpedia_csv, "
        "there."
    )
    CLASSES = (
        *("Company", "EducationalInstitution", "Artist", "Athlete", "OfficeHolder"),
        *("MeanOfTransportation", "Building", "NaturalPlace", "Village", "Animal", "Plant"),
        *("Album", "Film", "WrittenWork"),
    )

    def _info(self) -> tfds.core.DatasetInfo:
        return tfds.core.DatasetInfo(
            builder=self,
            description="DBpedia ontology classification, 14 classes.",
            features=tfds.features.FeaturesDict(
                {
                    "title": tfds.features.Text(),
                    "content": tfds.features.Text(),
                    "label": tfds.features.ClassLabel(names=list(self.CLASSES)),
                }
            ),
            supervised_keys=("content", "label"),
            homepage="https://arxiv.org/abs/1509.01626",
        )

    def _split_generators(self, dl_manager: tfds.download.DownloadManager) -> dict[str, Any]:
        place = _dbpedia_place(Path(dl_manager.manual_dir))
        return {split: self._generate_examples(place, split) for split in ("train", "test")}

    def _generate_examples(self, place: Path, split: str) -> Iterator[tuple[int, dict[str, Any]]]:
        for row, (line, fields) in enumerate(_dbpedia_records(place, f"{split}.csv"), 1):
            where = Where(f"{place.name}/{split}.csv", row, line)
            if len(fields) != 3:
                raise UserError(f"{where}: {len(fields)} fields where 3 were expected")
            number, title, content = fields
            if number not in map(str, range(1, len(self.CLASSES) + 1)):
                raise UserError(f"{where}: class {number!r}, expected 1 to {len(self.CLASSES)}")
            texts = {"title": title.strip(), "content": content.strip()}
            example = {key: encodable(text, "strict", where) for key, text in texts.items()}
            yield row, {**example, "label": int(number) - 1}


def _dbpedia_place(folder: Path) -> Path:
    for name in ("dbpedia_csv", "dbpedia_csv.tar.gz", "dbpedia_csv.tgz", "dbpedia_csv.tar"):
        if (folder / name).exists():
            return folder / name
    if (folder / "train.csv").is_file():
        return folder
    raise UserError(
        "tfds:dbpedia14 is read from the original archive: put dbpedia_csv.tar.gz or the folder "
        f"dbpedia_csv into {folder}, or name its folder with --data.tfds-manual-dir"
    )


def _dbpedia_records(place: Path, file: str) -> Iterator[tuple[int, list[str]]]:
    if place.is_dir():
        yield from csv_records(Input.file(place / file), "strict")
        return
    with reading(place.name), tarfile.open(place, "r:*") as archive:
        for member in archive:
            if member.isfile() and PurePosixPath(member.name).name == file:
                source = Input.member(archive, member, f"{place.name}/{file}")
                yield from csv_records(source, "strict")
                return
    raise UserError(f"{place.name} holds no {file}")


def _read_split(
    builder: Any, split: str, columns: Columns, spec: ColumnSpec, errors: Errors, origin: str
) -> Table | None:
    """Reads a split; None where its labels are withheld."""
    names = _class_names(builder, columns)
    assert columns.label is not None
    texts, label = [columns.names[i] for i in columns.text], columns.names[columns.label]

    def rows() -> Rows:
        for row, example in enumerate(_examples(builder, split, origin), 1):
            where = Where(f"{origin}, {split}", row)
            value = example[label]
            if names:
                value = None if int(value) < 0 else names[int(value)]
            elif isinstance(value, bytes):
                value = _text(value, label, where, errors)
            elif hasattr(value, "item"):
                value = value.item()
            yield Row(where, [_text(example[name], name, where, errors) for name in texts], value)

    found = list(clean_rows(rows(), replace(spec, unlabelled="skip"), errors))
    labelled = [(text, name) for text, name in found if name is not None]
    skipped = len(found) - len(labelled)
    if not labelled or (skipped and spec.unlabelled != "skip"):
        return None
    kept, labels = map(list, zip(*labelled, strict=True))
    return Table(kept, labels, f"{origin}, {split}", columns, skipped)


def _class_names(builder: Any, columns: Columns) -> tuple[str, ...] | None:
    label = columns.label
    names = None if label is None else builder.info.features[columns.names[label]]
    return tuple(getattr(names, "names", None) or ()) or None


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


def _features(builder: Any, origin: str) -> list[str]:
    features = builder.info.features
    if not isinstance(features, tfds.features.FeaturesDict):
        raise UserError(f"{origin} has no named features, only {type(features).__name__}")
    return list(features.keys())


def _text(value: Any, column: str, where: Where, errors: Errors) -> str:
    if isinstance(value, str):
        return value
    if not isinstance(value, bytes):
        raise UserError(f"{where}: {column!r} holds {type(value).__name__}, expected a text")
    return value.decode("utf-8", DECODE_ERRORS[errors])


def _prepared(name: str, data_dir: Path) -> Any:
    """Returns a builder over files already in `data_dir`, whose code may be unknown; or None."""
    base = re.split("[/:]", name)[0]
    with contextlib.suppress(ImportError):
        importlib.import_module(f"tensorflow_datasets.text.{_MODULES.get(base, base)}")
    try:
        return tfds.core.read_only_builder.builder_from_files(name, data_dir=str(data_dir))
    except (ValueError, AssertionError):  # DatasetNotFoundError is a ValueError
        return None


def _prepare(name: str, data_dir: Path, manual_folder: str | None, spec: ColumnSpec) -> Any:
    """Downloads and prepares a data set, after checking that its features can be used."""
    builder = _builder(name, data_dir)
    choose_columns(_features(builder, f"tfds:{name}"), spec, f"tfds:{name}")
    manual = user_path(manual_folder or str(data_dir / "downloads" / "manual")).absolute()
    instructions = builder.MANUAL_DOWNLOAD_INSTRUCTIONS
    if instructions and not (manual.is_dir() and any(manual.iterdir())):
        raise UserError(
            f"tfds:{name} is made from manually downloaded files, and {manual} holds none; name "
            f"their folder with --data.tfds-manual-dir. {' '.join(instructions.split())}"
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
        if isinstance(error, OSError) and request is not None:  # an error of `requests`
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
            f"(tested: {listed(TASKS)})"
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


def _near(name: str) -> str:
    """Suggests a data set with a similar name, those of `TASKS` first."""
    begun = [known for known in TASKS if known.startswith(name)]
    if begun:
        return f", did you mean {begun[0]!r}?"
    text = importlib.import_module("tensorflow_datasets.text")
    packages = [module.name for module in pkgutil.iter_modules(text.__path__) if module.ispkg]
    registered = tfds.list_builders(with_community_datasets=False)
    return nearest(name, TASKS) or nearest(name, [*packages, *registered])


@contextlib.contextmanager
def _quietly() -> Iterator[None]:
    """Keeps TFDS's messages off standard output, and its retries within seconds."""
    logging.getLogger("urllib3.connectionpool").setLevel(logging.ERROR)
    if not sys.stderr.isatty():
        tfds.disable_progress_bar()
    retries, downloader.MAX_RETRIES = downloader.MAX_RETRIES, _RETRIES
    try:
        with contextlib.redirect_stdout(sys.stderr):
            yield
    finally:
        downloader.MAX_RETRIES = retries
