"""What a folder's records are of, as about.json tells: checked, and joined with what is added."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, get_type_hints

from wave_jax.errors import UserError
from wave_jax.experiments.scale import SCALES
from wave_jax.experiments.sources import PreparedSource

IN_REPORT = ("device", "machine", "cores", "python", "jax", "flax", "optax")
"""What a report says of the environment."""

_LONGEST_SHOWN = 60


def check_about(about: Mapping[str, Any], path: Path) -> None:
    """Checks what about.json holds beside its version: somebody may have mended it by hand.

    Args:
        about: 'scale', 'datasets', 'seeds', 'environment' and 'pretrained'.
        path: the file, for errors.

    Raises:
        UserError: a part is missing or of another type.
    """
    problem = _problem(about)
    if problem is not None:
        raise UserError(f"{path} is not whole: {problem}; mend it, or give another --out")


def join_about(known: Mapping[str, Any], added: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    """Returns what a folder's records are of once those of `added` are among them.

    A data set that is already known keeps what the folder says of it, new ones come last, and the
    number of seeds is the larger one. The first data set is the one that most items use.

    Raises:
        UserError: another scale, checkpoint or first data set, or other texts of the same name.
    """
    for name in ("scale", "pretrained"):
        if known[name] != added[name]:
            raise _other(folder, name, known[name], added[name])
    first, wanted = known["datasets"][0], added["datasets"][0]
    if first["name"] != wanted["name"]:
        raise _other(folder, "first data set", _named(first), _named(wanted))
    united = {facts["name"]: facts for facts in known["datasets"]}
    for facts in added["datasets"]:
        before = united.setdefault(facts["name"], facts)
        if before["fingerprint"] != facts["fingerprint"]:
            raise _other(folder, f"{facts['name']}", _named(before), _named(facts))
    seeds = max(known["seeds"], added["seeds"])
    return {**known, "datasets": list(united.values()), "seeds": seeds}


def _problem(about: Mapping[str, Any]) -> str | None:
    scale, seeds, label = about.get("scale"), about.get("seeds"), about.get("pretrained", "")
    if not isinstance(scale, str) or scale not in SCALES:
        return f"scale is {_told(scale)}, expected {' or '.join(SCALES)}"
    if type(seeds) is not int or seeds < 1:
        return f"seeds is {_told(seeds)}, expected a whole number above 0"
    if label is not None and (not isinstance(label, str) or not label.strip()):
        return f"pretrained is {_told(label)}, expected null or a checkpoint's name"
    environment = about.get("environment")
    if not isinstance(environment, dict):
        return f"environment is {_told(environment)}, expected versions and hardware"
    missing = [name for name in IN_REPORT if name not in environment]
    if missing:
        return f"environment lacks {', '.join(missing)}"
    datasets = about.get("datasets")
    if not isinstance(datasets, list) or not datasets:
        return f"datasets is {_told(datasets)}, expected a list of one data set or more"
    return next(filter(None, map(_dataset_problem, datasets)), None)


def _dataset_problem(facts: Any) -> str | None:
    if not isinstance(facts, dict):
        return f"a data set is {_told(facts)}, expected an object"
    kinds = get_type_hints(PreparedSource)
    del kinds["folder"]  # where texts lie is not recorded
    odd = sorted(kinds.keys() ^ facts.keys())
    if odd:
        return f"a data set {'lacks' if odd[0] in kinds else 'has an unknown'} {odd[0]}"
    for name, kind in kinds.items():
        value = facts[name]
        if kind is float:
            fits = type(value) in (int, float) and 0 <= value <= 1
        elif kind is int:
            fits = type(value) is int and value >= 1
        else:
            fits = type(value) is kind and value != ""
        if not fits:
            expected = {float: "a share of 1", int: "a whole number above 0", str: "text"}
            return f"{name} is {_told(value)}, expected {expected.get(kind, 'true or false')}"
    return None


def _other(folder: Path, what: str, known: Any, added: Any) -> UserError:
    return UserError(
        f"{folder} holds records with another {what} ({known}; now {added}): give another --out"
    )


def _named(facts: Mapping[str, Any]) -> str:
    return f"{facts['name']} {facts['fingerprint'][:8]}"


def _told(value: Any) -> str:
    if isinstance(value, dict | list) and value:
        return f"a {type(value).__name__}"
    text = repr(value)
    return text if len(text) <= _LONGEST_SHOWN else f"{text[:_LONGEST_SHOWN]}..."
