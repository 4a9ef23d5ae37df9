"""All items, by name."""

from __future__ import annotations

import importlib
from dataclasses import dataclass, field
from typing import Any

from wave_jax.errors import UserError, nearest
from wave_jax.experiments.jobs import Job, Plan
from wave_jax.experiments.records import Records
from wave_jax.experiments.scale import Scale
from wave_jax.experiments.section import Section
from wave_jax.experiments.sources import PreparedSource


@dataclass(frozen=True)
class Item:
    """A table or figure.

    Attributes:
        name: as the user types it; the module has underscores for hyphens, and functions
            `jobs(plan) -> list[Job]` and `draw(plan) -> Section`.
        summary: what it shows, one line.
        needs: what it needs beside texts.
    """

    name: str
    summary: str
    needs: str = field(default="texts")

    def jobs(self, plan: Plan) -> list[Job]:
        """Returns what has to be measured, in order; it may grow as records are made."""
        jobs: list[Job] = self._module().jobs(plan)
        return jobs

    def draw(self, plan: Plan) -> Section:
        """Returns the section of the report."""
        section: Section = self._module().draw(plan)
        return section

    def minutes(self, scale: Scale, seeds: int) -> float:
        """Returns the estimated time on two cores, alone, for texts as many as AG News has."""
        texts = scale.texts or 120_000
        dataset = PreparedSource(
            name="AG News",
            source="",
            fingerprint="",
            train=round(0.8 * texts),
            validation=round(0.2 * texts),
            test=scale.test_texts or 7_600,
            classes=4,
            majority=0.25,
            sentences=True,
        )
        plan = Plan(scale, (dataset,), seeds, _NoRecords())
        jobs = {job.key: job.seconds for job in self.jobs(plan)}
        return sum(jobs.values()) / 60

    def _module(self) -> Any:
        return importlib.import_module(f"wave_jax.experiments.{self.name.replace('-', '_')}")


ITEMS = {
    item.name: item
    for item in (
        Item("wn-table1", "[WN] table 1: accuracy, memory, time, against one Transformer layer"),
        Item(
            "wn-table2",
            "[WN] table 2: the same against BERT base, and the savings",
            "texts (several with --data A B C); --pretrained for BERT",
        ),
        Item("wn-figure7", "[WN] figure 7: accuracy and loss over many epochs"),
        Item("bp-figure1", "[BP] figure 1: a text's tokens becoming waves"),
        Item("bp-figure2", "[BP] figure 2: quick convergence, test accuracy every 10 batches"),
        Item("bp-figure3", "[BP] figure 3: gradient of the [CLS] embedding", "texts"),
        Item("bp-figure4", "[BP] figure 4: two variants' waves meeting"),
        Item("bp-figure5", "[BP] figure 5: gradient of all word embeddings of the input"),
        Item("bp-classifier", "[BP] gradient of the classifier's parameters"),
        Item("bp-independence", "[BP] independence of the embeddings' dimensions"),
        Item("bp-complexity", "[BP] arithmetic over length and width, with exponents", "nothing"),
        Item("bp-parameters", "[BP] parameters with and without the table", "nothing"),
        Item("bp-resources", "[BP] memory and arithmetic of a training step", "nothing"),
        Item("ablations", "the choices that the papers leave open"),
    )
}


def find_items(name: str) -> list[Item]:
    """Returns the item of that name, or all of them for 'all'; UserError with the nearest name."""
    if name == "all":
        return list(ITEMS.values())
    if name not in ITEMS:
        names = ["all", *ITEMS]
        raise UserError(
            f"no item {name!r}{nearest(name.lower(), names)}; --list shows them: {', '.join(names)}"
        )
    return [ITEMS[name]]


class _NoRecords(Records):
    """Nothing measured yet."""

    def __init__(self) -> None:
        self.about = None

    def find(self, key: str) -> None:
        """Returns None."""
        del key
