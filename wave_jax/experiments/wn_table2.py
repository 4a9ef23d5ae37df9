"""[WN] table 2: accuracy, memory and time on three data sets, against BERT base."""

from __future__ import annotations

from wave_jax.experiments import bp_resources
from wave_jax.experiments.accuracy import HEAD, MEMORY, Entry, accuracy_rows
from wave_jax.experiments.jobs import Job, Plan, found
from wave_jax.experiments.paper import TABLE_2
from wave_jax.experiments.section import Section, Table
from wave_jax.experiments.sources import PreparedSource
from wave_jax.experiments.training_job import Training
from wave_jax.experiments.tuning import at_papers_rate

_NAMES = ("interference", "modulation", "bert")


def jobs(plan: Plan) -> list[Job]:
    """Returns the runs on every data set, and the measurements of resources."""
    runs: list[Job] = [
        run for dataset in plan.datasets for name in _NAMES for run in _runs(plan, name, dataset)
    ]
    return runs + bp_resources.jobs(plan)


def draw(plan: Plan) -> Section:
    """Returns a table for each data set, and one of the savings."""
    tables = []
    for dataset in plan.datasets:
        paper = TABLE_2.get(dataset.name, {})
        entries = [
            Entry(name, _setting(plan, name), paper.get(name), records)
            for name in _NAMES
            if (records := found(plan, _runs(plan, name, dataset)))
        ]
        if not entries:
            continue
        sizes = f"{dataset.train:,} + {dataset.validation:,} + {dataset.test:,} texts"
        tables.append(Table(f"{dataset.name} ({sizes})", HEAD, accuracy_rows(entries)))
    tables.append(bp_resources.savings(plan))
    deviations = ["Only the data sets that were given with --data are shown."]
    if not plan.pretrained:
        deviations.append(
            "The paper fine-tunes pre-trained BERT base. No checkpoint was given (--pretrained), "
            "so BERT was trained from random parameters, which says what its architecture alone "
            "does, not what BERT can do; its learning rate is 3e-4 instead of 2e-5, at which "
            "nothing would be learned."
        )
    if plan.scale.name == "small":
        deviations.append(
            f"At this scale the BERT that is trained has {plan.scale.bert_layers} layers of "
            f"{plan.scale.dim} dimensions, and one seed. Memory and arithmetic of BERT base are "
            "those of its compiled training step in full size, which need not run for that."
        )
    return Section(
        title="[WN] table 2: against BERT base",
        text=MEMORY,
        tables=tables,
        deviations=deviations,
    )


def _runs(plan: Plan, name: str, dataset: PreparedSource) -> list[Training]:
    runs = at_papers_rate(plan, name, dataset)
    return runs[:1] if name == "bert" and plan.scale.name == "small" else runs


def _setting(plan: Plan, name: str) -> str:
    if name != "bert":
        return "paper's rate"
    return "fine-tuned" if plan.pretrained else "from scratch"
