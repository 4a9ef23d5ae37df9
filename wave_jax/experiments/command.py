"""From what a user asks for to records and a report."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console

from wave_jax.errors import UserError
from wave_jax.experiments.datasets import Dataset, prepare_dataset
from wave_jax.experiments.jobs import Checkpoint, Plan
from wave_jax.experiments.measure import clock, measure
from wave_jax.experiments.records import Records, environment
from wave_jax.experiments.registry import ITEMS, find_items
from wave_jax.experiments.report import drawable, write_report
from wave_jax.experiments.scale import SCALES, Scale, ScaleName, contestant
from wave_jax.models.pretrained import check_folder
from wave_jax.training.interrupt import Interrupted


def reproduce(
    name: str,
    *,
    sources: Sequence[str],
    scale: ScaleName,
    seeds: int | None,
    pretrained: str | None,
    out: Path,
    draw_only: bool,
    console: Console,
) -> tuple[Path, Path]:
    """Measures what an item still needs, and draws the report of all that has been measured.

    Args:
        name: of an item, or 'all'.
        sources: of texts; the first is used by all items but `wn-table2`, which uses all.
        seeds: of the tables; by default the scale's.
        pretrained: folder of a BERT checkpoint.
        out: folder of records and report; gone on with where it holds records.
        draw_only: measure nothing, and read no texts.

    Returns:
        The paths of report.html and report.md.

    Raises:
        UserError: an unknown item, unusable texts or checkpoint, or a folder with other records.
    """
    items = find_items(name)
    if seeds is not None and seeds < 1:
        raise UserError(f"--seeds is {seeds}, expected 1 or more")
    records = Records(out)
    if pretrained is not None:
        _check_pretrained(pretrained, SCALES[scale])
    if draw_only:
        plan = _plan_of(records, seeds)
    else:
        plan = _new_plan(records, sources, SCALES[scale], seeds, pretrained)
        _announce(plan, console)
        with _farewell(out, console):
            measure(plan, items, out / "work", console)
    done = drawable(plan)
    shown = [item for item in ITEMS.values() if item in items or item in done]
    return write_report(plan, shown)


def list_items(scale: ScaleName, seeds: int | None) -> list[str]:
    """Returns one line an item: its name, what it shows, what it needs, the estimated time."""
    size = SCALES[scale]
    count = seeds or size.seeds
    lines = []
    for item in ITEMS.values():
        time = clock(60 * item.minutes(size, count))
        lines.append(f"{item.name:<16} {item.summary}; needs {item.needs}; about {time}")
    return lines


def _check_pretrained(folder: str, scale: Scale) -> None:
    """The scale decides on the sizes: BERT base at the papers', one as small as ours at 'small'."""
    try:
        check_folder(folder, contestant("bert", scale), scale.max_length)
    except UserError as error:
        size = f"dimensions: {scale.dim}, layers: {scale.bert_layers}"
        raise UserError(f"--pretrained, at --scale {scale.name} ({size}): {error}") from None


def _new_plan(
    records: Records, sources: Sequence[str], size: Scale, seeds: int | None, given: str | None
) -> Plan:
    work = records.folder / "work"
    datasets = tuple(prepare_dataset(source, size, work) for source in sources)
    names = [dataset.name for dataset in datasets]
    if len(set(names)) < len(names):
        raise UserError(f"--data names a data set twice: {', '.join(names)}")
    checkpoint = Checkpoint.of(given) if given else None
    records.claim(
        {
            "scale": size.name,
            "datasets": [dataset.about() for dataset in datasets],
            "pretrained": checkpoint.label if checkpoint else None,
            "seeds": seeds or size.seeds,
            "environment": environment(),
        }
    )
    return Plan(size, datasets, seeds or size.seeds, records, checkpoint)


def _plan_of(records: Records, seeds: int | None) -> Plan:
    about = records.about
    if about is None:
        raise UserError(f"{records.folder} holds no records to draw: measure first, without --draw")
    try:
        datasets = tuple(Dataset(**facts) for facts in about["datasets"])
        scale, count = SCALES[about["scale"]], seeds or int(about["seeds"])
    except (KeyError, TypeError, ValueError) as error:
        raise UserError(f"{records.folder}/about.json is not whole ({error!r})") from None
    label = about.get("pretrained")
    return Plan(scale, datasets, count, records, Checkpoint("", str(label)) if label else None)


@contextmanager
def _farewell(out: Path, console: Console) -> Iterator[None]:
    try:
        yield
    except (Interrupted, KeyboardInterrupt):
        console.print(
            f"Stopped; what was measured is kept in {out}: the same command goes on from there.",
            markup=False,
            highlight=False,
        )
        raise


def _announce(plan: Plan, console: Console) -> None:
    for data in plan.datasets:
        console.print(
            f"{data.name}: {data.train:,} texts for training, {data.validation:,} for validation, "
            f"{data.test:,} for the test",
            markup=False,
            highlight=False,
        )
