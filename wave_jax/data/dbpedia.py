"""DBpedia14 as a TFDS builder: TFDS itself does not have it."""

from __future__ import annotations

import tarfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any

import tensorflow_datasets as tfds

from wave_jax.data.delimited import Record, read_records
from wave_jax.data.rows import Where, encodable
from wave_jax.data.streams import Input, reading
from wave_jax.errors import UserError

ARCHIVES = ("dbpedia_csv.tar.gz", "dbpedia_csv.tgz", "dbpedia_csv.tar")
FOLDER = "dbpedia_csv"
CLASSES = (
    *("Company", "EducationalInstitution", "Artist", "Athlete", "OfficeHolder"),
    *("MeanOfTransportation", "Building", "NaturalPlace", "Village", "Animal", "Plant"),
    *("Album", "Film", "WrittenWork"),
)


class Dbpedia14(tfds.core.GeneratorBasedBuilder):
    """The 14 ontology classes of Zhang et al. (2015), 560,000 + 70,000 rows.

    Reads the original archive, as a stream, or the folder that it holds, from TFDS's folder of
    manual downloads.
    """

    VERSION = tfds.core.Version("1.0.0")
    RELEASE_NOTES = {"1.0.0": "First release."}  # noqa: RUF012 - TFDS's own spelling
    MANUAL_DOWNLOAD_INSTRUCTIONS = (
        f"Put the original {ARCHIVES[0]} of Zhang et al. (2015), or its folder {FOLDER}, there."
    )

    def _info(self) -> tfds.core.DatasetInfo:
        return tfds.core.DatasetInfo(
            builder=self,
            description="DBpedia ontology classification, 14 classes.",
            features=tfds.features.FeaturesDict(
                {
                    "title": tfds.features.Text(),
                    "content": tfds.features.Text(),
                    "label": tfds.features.ClassLabel(names=list(CLASSES)),
                }
            ),
            supervised_keys=("content", "label"),
            homepage="https://arxiv.org/abs/1509.01626",
        )

    def _split_generators(self, dl_manager: tfds.download.DownloadManager) -> dict[str, Any]:
        place = _place(Path(dl_manager.manual_dir))
        return {part: self._generate_examples(place, part) for part in ("train", "test")}

    def _generate_examples(self, place: Path, part: str) -> Iterator[tuple[int, dict[str, Any]]]:
        for row, record in enumerate(_records(place, f"{part}.csv"), 1):
            where = Where(f"{place.name}/{part}.csv", row, record.line)
            if len(record.fields) != 3:
                raise UserError(f"{where}: {len(record.fields)} fields where 3 were expected")
            number, title, content = record.fields
            if number not in map(str, range(1, len(CLASSES) + 1)):
                raise UserError(f"{where}: class {number!r}, expected 1 to {len(CLASSES)}")
            yield (
                row,
                {
                    "title": encodable(title.strip(), "strict", where),
                    "content": encodable(content.strip(), "strict", where),
                    "label": int(number) - 1,
                },
            )


def _place(folder: Path) -> Path:
    for name in (FOLDER, *ARCHIVES):
        if (folder / name).exists():
            return folder / name
    if (folder / "train.csv").is_file():
        return folder
    raise UserError(
        f"tfds:dbpedia14 is read from the original archive: put {ARCHIVES[0]} or the folder "
        f"{FOLDER} into {folder}, or name its folder with --data.tfds-manual-dir"
    )


def _records(place: Path, file: str) -> Iterator[Record]:
    if place.is_dir():
        yield from read_records(Input.file(place / file), "strict", delimiter=",")
        return
    with reading(place.name), tarfile.open(place, "r:*") as archive:
        for member in archive:
            if member.isfile() and PurePosixPath(member.name).name == file:
                source = Input.member(archive, member, f"{place.name}/{file}")
                yield from read_records(source, "strict", delimiter=",")
                return
    raise UserError(f"{place.name} holds no {file}")
