"""From what a user asks for to records and a report."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console

from wave_jax.data.tokenizer import WordPiece
from wave_jax.errors import Interrupted, UserError
from wave_jax.experiments.jobs import Checkpoint, Job, Plan
from wave_jax.experiments.measure import clock, measure
from wave_jax.experiments.records import Records, environment
from wave_jax.experiments.registry import ITEMS, Item, find_items
from wave_jax.experiments.report import write_report
from wave_jax.experiments.scale import SCALES, Scale, ScaleName, contestant
from wave_jax.experiments.sources import PreparedSource, prepare_source
from wave_jax.models.bert import check_folder, lowercases, vocabulary_file


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
        draw_only: measure nothing, and read no texts; texts, scale and checkpoint are those of the
            records.

    Returns:
        The paths of report.html and report.md.

    Raises:
        UserError: an unknown item, unusable texts or checkpoint, or a folder with other records.
    """
    items = find_items(name)
    _check_seeds(seeds)
    records = Records(out)
    if not draw_only:
        if pretrained is not None:
            _check_pretrained(pretrained, SCALES[scale])
        plan = _new_plan(records, sources, SCALES[scale], seeds, pretrained)
        _announce(plan, console)
        with _farewell(out, console):
            measure(plan, items, out / "work", console)
        seeds = None
    plan = _plan_of(records, seeds)  # with what earlier commands measured too
    return write_report(plan, _shown(plan, items))


def list_items(name: str, scale: ScaleName, seeds: int | None) -> list[str]:
    """Returns one line an item: its name, what it shows, what it needs, the estimated time.

    Args:
        name: of an item, or 'all', which adds a line for all together.
        scale, seeds: as of `reproduce`.

    Raises:
        UserError: as `reproduce`.
    """
    items = find_items(name)
    _check_seeds(seeds)
    size = SCALES[scale]
    if name == "all":
        items.append(_Everything("all", "everything above, what items share measured once"))
    lines = []
    for item in items:
        time = clock(60 * item.minutes(size, seeds or size.seeds))
        lines.append(f"{item.name:<16} {item.summary}; needs {item.needs}; about {time}")
    return lines


@dataclasses.dataclass(frozen=True)
class _Everything(Item):
    """All items as one."""

    def jobs(self, plan: Plan) -> list[Job]:
        return [job for item in ITEMS.values() for job in item.jobs(plan)]


def _check_seeds(seeds: int | None) -> None:
    if seeds is not None and seeds < 1:
        raise UserError(f"--seeds is {seeds}, expected 1 or more")


def _shown(plan: Plan, asked: Sequence[Item]) -> list[Item]:
    """Returns what was asked for, what is complete, and what is measured in part.

    Items share runs: one that has nothing but those of complete items was not measured itself.
    """
    keys = {name: {job.key for job in item.jobs(plan)} for name, item in ITEMS.items()}
    made = {key for key in set().union(*keys.values()) if plan.records.find(key) is not None}
    sure = {item.name for item in asked} | {name for name in keys if keys[name] <= made}
    shared = set().union(*(keys[name] for name in sure))
    return [item for name, item in ITEMS.items() if name in sure or keys[name] & made - shared]


def _check_pretrained(folder: str, scale: Scale) -> None:
    """Finds at once what would stop BERT when its turn comes.

    The scale decides on the sizes: BERT base at the papers', one as small as ours at 'small'.
    """
    try:
        pieces = WordPiece.from_file(vocabulary_file(folder)).vocab_size
        if lowercases(folder) is False:
            raise UserError(f"{folder} tells case apart, and texts are folded: give an uncased one")
        check_folder(
            folder,
            contestant("bert", scale),
            vocab_size=pieces,
            max_length=scale.max_length,
            advice=lambda option, value: "give another checkpoint, or another --scale",
        )
    except UserError as error:
        size = f"dimensions: {scale.dim}, layers: {scale.bert_layers}"
        raise UserError(f"--pretrained, at --scale {scale.name} ({size}): {error}") from None


def _new_plan(
    records: Records, sources: Sequence[str], size: Scale, seeds: int | None, given: str | None
) -> Plan:
    work = records.folder / "work"
    if not sources:
        raise UserError("--data needs a value: a source of texts, or several")
    datasets = [prepare_source(source, size, work) for source in sources]
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
    assert records.about is not None
    known = {facts["name"]: facts for facts in records.about["datasets"]}
    texts = (PreparedSource(**known[data.name], folder=data.folder) for data in datasets)
    return Plan(size, tuple(texts), seeds or size.seeds, records, checkpoint)


def _plan_of(records: Records, seeds: int | None) -> Plan:
    about = records.about
    if about is None:
        raise UserError(f"{records.folder} holds no records to draw: measure first, without --draw")
    datasets = tuple(PreparedSource(**facts) for facts in about["datasets"])
    label = about["pretrained"]
    checkpoint = Checkpoint("", label) if label else None
    return Plan(SCALES[about["scale"]], datasets, seeds or about["seeds"], records, checkpoint)


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
