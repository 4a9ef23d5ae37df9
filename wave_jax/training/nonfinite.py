"""A loss or gradient that is not finite: which step, which parameters, which batch."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from wave_jax.errors import UserError
from wave_jax.training.writing import write_whole

FOLDER = "nonfinite"

_MOST_GROUPS = 31  # bits of an int32 that is not negative


class NotFinite(UserError):
    """Training met numbers that are not finite.

    Attributes:
        step: the step that had them, counted from 0.
        groups: the parameter groups whose gradient had them; none if only the loss did.
        saved: the step of the newest checkpoint, which is from before, or 0.
    """

    def __init__(self, step: int, groups: Sequence[str], saved: int) -> None:
        self.step, self.groups, self.saved = step, tuple(groups), saved
        where = f"the gradient of {', '.join(groups)}" if groups else "the loss"
        kept = f"the checkpoint of step {saved} is kept" if saved else "none saved"
        super().__init__(
            f"the loss or its gradient was not finite at step {step + 1}, in {where} ({kept}): "
            "lower --train.learning-rate, keep --train.clip-norm above 0, or leave such steps out "
            "with --train.on-nonfinite skip"
        )


def group_names(params: Mapping[str, Any]) -> tuple[str, ...]:
    """Returns the names of the parameter groups, in the order of their bits.

    >>> group_names({"embed": {}, "classifier": {}})
    ('classifier', 'embed')
    """
    names = sorted(params)
    if len(names) <= _MOST_GROUPS:
        return tuple(names)
    return (*names[: _MOST_GROUPS - 1], f"one of {', '.join(names[_MOST_GROUPS - 1 :])}")


def group_bit(params: Mapping[str, Any], name: str) -> int:
    """Returns the bit that stands for a parameter group.

    >>> group_bit({"embed": {}, "classifier": {}}, "embed")
    2
    """
    return 1 << min(sorted(params).index(name), _MOST_GROUPS - 1)


def named(params: Mapping[str, Any], bits: int) -> list[str]:
    """Returns the names of the groups whose bits are set.

    >>> named({"embed": {}, "classifier": {}}, 3)
    ['classifier', 'embed']
    """
    return [name for place, name in enumerate(group_names(params)) if bits >> place & 1]


def save_batch(workdir: Path, batches: Any, error: NotFinite, process: int) -> Path:
    """Writes the batch of the error's step, this process's rows, for `replay`; returns its file.

    Args:
        batches: TrainBatches, whose `batch(step)` is a pure function of the step.
    """
    folder = workdir / FOLDER
    folder.mkdir(exist_ok=True)
    path = folder / f"batch-{error.step + 1}-{process}.npz"
    part = path.with_name(f".{path.name}.part.npz")
    np.savez_compressed(part, **batches.batch(error.step)._asdict())
    part.replace(path)
    if process == 0:
        texts = batches.examples(error.step).tolist() if hasattr(batches, "examples") else []
        facts = {"step": error.step, "groups": error.groups, "saved": error.saved, "texts": texts}
        write_whole(folder / f"step-{error.step + 1}.json", json.dumps(facts) + "\n")
    return path


def saved_failures(workdir: Path) -> list[dict[str, Any]]:
    """Returns what was written about each failure of a run, in the order of the steps."""
    found = []
    for path in (workdir / FOLDER).glob("step-*.json"):
        try:
            facts = json.loads(path.read_text(encoding="utf-8"))
            facts = {"step": int(facts["step"]), "saved": int(facts["saved"])} | facts
        except (OSError, ValueError, TypeError, KeyError) as error:
            raise UserError(f"{path} cannot be read: {error}") from None
        found.append(facts)
    return sorted(found, key=lambda facts: facts["step"])


def load_batch(workdir: Path, step: int, kind: Any) -> Any:
    """Returns the whole batch that `save_batch` wrote, of all processes together.

    Args:
        step: counted from 0.
        kind: the named tuple of a batch.
    """
    paths = sorted(
        (workdir / FOLDER).glob(f"batch-{step + 1}-*.npz"),
        key=lambda path: int(path.stem.rpartition("-")[2]),
    )
    if not paths:
        raise UserError(f"{workdir / FOLDER} holds no batch of step {step + 1}")
    try:
        parts = []
        for path in paths:
            with np.load(path, allow_pickle=False) as file:
                parts.append({name: file[name] for name in kind._fields if name in file})
        return kind(
            **{
                name: parts[0][name]
                if name == "distinct"
                else np.concatenate([part[name] for part in parts])
                for name in parts[0]
            }
        )
    except (OSError, ValueError, KeyError, TypeError, EOFError) as error:
        raise UserError(f"{paths[0]} is not the batch of a run: {error}") from None
