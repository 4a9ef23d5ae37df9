"""Which files of a folder or an archive belong to which split, by their names alone."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath as Path

from wave_jax.data.formats import FORMATS
from wave_jax.data.streams import plain_suffix
from wave_jax.errors import UserError, listed

CLASSES, LABELS = "classes.txt", "labels.json"
_SPLITS = {
    **{"train": "train", **dict.fromkeys(("validation", "valid", "val", "dev"), "validation")},
    "test": "test",
}
_SHARD = re.compile(r"-\d+-of-(\d{1,9})(-[0-9a-f]+)?(?=\.)")
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
    bare = not any(path.suffix for path in map(Path, names) if len(path.parts) > 1)  # 20 Newsgroups
    paths = {name: Path(f"{name}.txt" if bare and "/" in name else name) for name in names}
    tables, texts = _grouped(paths, _table_split), _grouped(paths, _text_split)
    if not texts:
        plain = _grouped(paths, lambda p: (p.parent.parent, "train") if _is_text(p) else None)
        texts = {f: s for f, s in plain.items() if len(set(map(class_of, s["train"]))) > 1}
    only = [name for name, path in paths.items() if _is_table(path)]
    only = [name for name in only if plain_suffix(paths[name]) != ".json"] or only  # of settings
    alone = {paths[only[0]].parent: {"train": only}} if len(only) == 1 else {}
    if not (groups := tables or texts or alone):
        what = "no train.csv (or .tsv, .jsonl, .parquet) and no folders of .txt files for classes"
        what = f"{place} has {what}; it holds {listed(names) or 'no files'}"
        raise UserError(f"{what}: name one train.csv, or give one file")
    level = min(len(folder.parts) for folder in groups)
    folder, *others = sorted(folder for folder in groups if len(folder.parts) == level)
    if others:
        found = listed([str(each) for each in (folder, *others)])
        raise UserError(f"{place} holds several data sets, in {found}: give the folder of one")
    splits = {s: groups[folder][s] for s in _SPLITS.values() if s in groups[folder]}
    if groups is not texts:
        _check_shards(place, splits)
    read = set().union(*splits.values())
    within = {paths[name].parent for name in read} if groups is texts else set()
    kinds = {n: _is_table(p) or _is_txt(p) or p.parent in within for n, p in paths.items()}
    rest = [name for name, counts in kinds.items() if counts and name not in read]
    notes = {
        "each file a text, its folder the class": groups is texts,
        f"from {splits['train'][0]!r}": groups is alone or folder.parts,
        f"others not read: {len(rest):,}, such as {listed(rest[len(rest) // 2 :][:1])}": rest,
    }
    note = "".join(f"; {said}" for said, applies in notes.items() if applies)
    return Layout(splits, folder, groups is texts, note)


def _check_shards(place: str, splits: dict[str, list[str]]) -> None:
    """Raises UserError unless each split has one file, or all the shards of one."""
    for split, names in splits.items():
        counts = {int(m[1]) if (m := _SHARD.search(Path(n).name.lower())) else 1 for n in names}
        if len(names) < max(counts):
            what = f"{place} holds {len(names)} of {max(counts)} files of {split}"
            raise UserError(f"{what}: run 'git lfs pull', or download the rest")
        if counts != {len(names)}:
            raise UserError(
                f"{place} holds several files for one split, leave one: {listed(names)}"
            )


def _grouped(paths: dict[str, Path], of: Callable[[Path], tuple[Path, str] | None]) -> _Groups:
    """Groups names by folder and split, as `of` tells them, where there is a training split."""
    groups: _Groups = {}
    for name, path in paths.items():
        if found := of(path):
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
