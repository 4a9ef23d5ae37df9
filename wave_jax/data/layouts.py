"""Which files of a folder or an archive belong to which split, by their names alone."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath as Path

from wave_jax.data.formats import FORMATS
from wave_jax.data.streams import plain_suffix
from wave_jax.errors import UserError, listed, shorten

CLASSES, LABELS = "classes.txt", "labels.json"
_SPLITS = {
    **{"train": "train", **dict.fromkeys(("validation", "valid", "val", "dev"), "validation")},
    "test": "test",
}
_SHARD = re.compile(r"-\d+-of-\d+(-[0-9a-f]+)?(?=\.)")
_UNLABELLED = ("unsup", "unsupervised", "unlabelled", "unlabeled")  # the first is IMDB's
_ABOUT = (CLASSES, LABELS, "dataset_info.json", "dataset_infos.json")  # files without texts
_Groups = dict[Path, dict[str, list[str]]]  # names of files by folder and split


@dataclass(frozen=True)
class Layout:
    """The files of each split, 'train' among them."""

    splits: dict[str, list[str]]
    folder: Path  # where classes.txt and labels.json may be
    class_folders: bool  # whether each file is a text, and the name of its folder the class
    note: str  # on what else was found


def class_of(name: str | Path) -> str:
    """Returns the name of a file's folder."""
    return Path(name).parent.name


def find_layout(place: str, names: Sequence[str]) -> Layout:
    """Chooses the files that are read: tables named for splits, class folders, or the only table.

    Of several folders that hold such files, the one nearest to the root is taken. Raises UserError
    where nothing can be chosen, or too much; `place` is what messages call the root.
    """
    paths = {name: Path(name) for name in names}
    tables, texts = _grouped(names, _table_split), _grouped(names, _text_split)
    if not texts:
        plain = _grouped(names, lambda p: (p.parent.parent, "train") if _is_text(p) else None)
        texts = {f: s for f, s in plain.items() if len(set(map(class_of, s["train"]))) > 1}
    only = [name for name, path in paths.items() if _is_table(path)]
    alone = {paths[only[0]].parent: {"train": only}} if len(only) == 1 else {}
    if not (groups := tables or texts or alone):
        what = "no train.csv (or .tsv, .jsonl, .parquet) and no folders of .txt files for classes"
        raise UserError(f"{place} has {what}; it holds {listed(names) or 'no files'}")
    level = min(len(folder.parts) for folder in groups)
    folder, *others = sorted(folder for folder in groups if len(folder.parts) == level)
    if others:
        found = listed([str(each) for each in (folder, *others)])
        raise UserError(f"{place} holds several data sets, in {found}: give the folder of one")
    splits = {s: groups[folder][s] for s in _SPLITS.values() if s in groups[folder]}
    for shards in [] if groups is texts else splits.values():
        if len(shards) > 1 and not all(_SHARD.search(paths[name].name) for name in shards):
            raise UserError(f"{place} holds several files for one split: {listed(shards)}")
    note = "; each file a text, its folder the class" if groups is texts else ""
    note += f"; from {splits['train'][0]!r}" if groups is alone or folder.parts else ""
    read = set().union(*splits.values())
    rest = [n for n, path in paths.items() if n not in read and (_is_table(path) or _is_txt(path))]
    note += (
        f"; others not read: {len(rest):,}, such as {shorten(repr(rest[len(rest) // 2]))}"
        if rest
        else ""
    )
    return Layout(splits, folder, groups is texts, note)


def _grouped(names: Sequence[str], of: Callable[[Path], tuple[Path, str] | None]) -> _Groups:
    """Groups names by folder and split, as `of` tells them, where there is a training split."""
    groups: _Groups = {}
    for name in names:
        if found := of(Path(name)):
            groups.setdefault(found[0], {}).setdefault(found[1], []).append(name)
    return {folder: splits for folder, splits in groups.items() if "train" in splits}


def _table_split(path: Path) -> tuple[Path, str] | None:
    """Returns folder and split of data/train.csv or data/train-00000-of-00002.parquet."""
    split = _SPLITS.get(_SHARD.sub("", path.name.lower()).split(".")[0])
    return (path.parent, split) if split and _is_table(path) else None


def _text_split(path: Path) -> tuple[Path, str] | None:
    """Returns folder and split of train/pos/1.txt."""
    folder = path.parent.parent
    split = _SPLITS.get(folder.name.lower())
    return (folder.parent, split) if split and _is_text(path) else None


def _is_table(path: Path) -> bool:
    return plain_suffix(path) in FORMATS and path.name not in _ABOUT


def _is_txt(path: Path) -> bool:
    return path.suffix.lower() == ".txt" and len(path.parts) > 1 and path.name not in _ABOUT


def _is_text(path: Path) -> bool:
    return _is_txt(path) and class_of(path).lower() not in _UNLABELLED
