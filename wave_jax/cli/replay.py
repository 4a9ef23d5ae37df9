"""`python -m wave_jax replay`: the step that stopped a training, made once more."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import tyro

from wave_jax.cli.arguments import parse

_DESCRIPTION = """Makes the step whose loss or gradient was not finite once more, and looks at it.

Examples:
  python -m wave_jax replay runs/ag
  python -m wave_jax replay runs/ag --step 1200 --json

Training goes on from the last good checkpoint up to that step, takes the batch that was kept, and
shows for each parameter group how many parameters and gradients are not finite."""

_TEXTS_SHOWN = 5


@dataclass(frozen=True)
class Options:
    """Which run, and which of its steps."""

    workdir: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="WORKDIR")]
    """Folder of a run that stopped."""
    step: int | None = None
    """The step, as the message named it; by default the first that stopped the run."""
    json: bool = False
    """Write one JSON object and nothing else."""


def main(argv: Sequence[str], *, prog: str) -> int:
    """Shows what the step did; returns the exit status."""
    options = parse(Options(tyro.MISSING), argv, prog=prog, description=_DESCRIPTION)
    from wave_jax.training.replay import replay

    notes: list[str] = []
    found = replay(Path(options.workdir), options.step, notes.append)
    if options.json:
        print(json.dumps(_plain(dataclasses.asdict(found)), ensure_ascii=False))
        return 0
    for line in notes:
        print(line)
    print(f"step {found.step}, from the state of step {found.resumed_from}: loss {found.loss}")
    for group in found.groups:
        print(
            f"  {group.name:<16} gradient norm {group.gradient_norm:<12.5g} not finite: "
            f"{group.bad_gradients:,} gradients, {group.bad_parameters:,} parameters"
        )
    for text in found.texts[:_TEXTS_SHOWN]:
        print(f"  {text[:100]}")
    return 0


def _plain(value: Any) -> Any:
    """Returns the value with None for numbers that JSON does not have."""
    if isinstance(value, dict):
        return {name: _plain(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
